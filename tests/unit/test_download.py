"""CIFAR-10's download, from a server on loopback that misbehaves."""

import hashlib
import http.server
import io
import pickle
import tarfile
import threading

import numpy as np
import pytest
from torchvision.datasets import CIFAR10

from understanding_bn.data import sources
from understanding_bn.errors import UserError


def archive():
    """A tiny CIFAR-10 in torchvision's layout, and the checksum of each file in it."""
    buffer, sums = io.BytesIO(), {}
    rng = np.random.default_rng(0)
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"]:
            content = {"data": rng.integers(0, 256, (20, 3072), np.uint8), "labels": [i % 10 for i in range(20)]}
            content |= {"label_names": list("abcdefghij")}
            data = pickle.dumps(content)
            sums[name] = hashlib.md5(data).hexdigest()
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue(), sums


@pytest.fixture
def server(monkeypatch):
    """Serves the archive as its list of `faults` says, one each time it is asked: 'busy', 'part', 'other' or whole."""
    content, sums = archive()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.headers["Method"] == "HEAD":  # how torchvision looks for redirects, of which there are none
                self.send_response(200)
                self.end_headers()
                return
            fault = self.server.faults.pop(0) if self.server.faults else "whole"
            self.server.asked.append(fault)
            if fault == "busy":
                self.send_error(503)
                return
            body = {"part": content[: len(content) // 2], "other": b"<html>log in</html>"}.get(fault, content)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content) if fault == "part" else len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    each = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    each.faults, each.asked = [], []
    threading.Thread(target=each.serve_forever, daemon=True).start()
    monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{each.server_port}/cifar-10-python.tar.gz")
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(content).hexdigest())
    monkeypatch.setattr(CIFAR10, "train_list", [[name, sums[name]] for name in sums if name.startswith("data")])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    meta = {"filename": "batches.meta", "key": "label_names", "md5": sums["batches.meta"]}
    monkeypatch.setattr(CIFAR10, "meta", meta)
    monkeypatch.setattr(sources, "PAUSE", 0.01)
    yield each
    each.shutdown()
    each.server_close()


@pytest.mark.parametrize("faults", [[], ["busy"], ["part"], ["other", "part"]])
def test_a_download_is_tried_again_until_it_is_whole(server, tmp_path, capsys, faults):
    server.faults = list(faults)
    images = sources.read("cifar10", None, tmp_path)
    assert (images.train_images.shape, images.test_images.shape) == ((100, 32, 32, 3), (20, 32, 32, 3))
    assert server.asked == [*faults, "whole"]
    assert capsys.readouterr().err.count("trying again") == len(faults)


def test_it_gives_up_with_one_line(server, tmp_path, capsys):
    server.faults = ["part"] * 9
    with pytest.raises(UserError) as error:
        sources.read("cifar10", None, tmp_path)
    assert len(server.asked) == sources.ATTEMPTS
    assert "\n" not in str(error.value)
    assert "give data_dir=FOLDER with CIFAR-10 in it" in str(error.value)


def test_a_part_that_an_earlier_process_left_is_not_taken_for_whole(server, tmp_path):
    content = archive()[0]
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(content[: len(content) // 3])
    sources.read("cifar10", None, tmp_path)
    assert server.asked == ["whole"]
    sources.read("cifar10", None, tmp_path)
    assert server.asked == ["whole"]  # and what is whole is not fetched again


def test_files_that_were_half_unpacked_are_unpacked_again(server, tmp_path):
    sources.read("cifar10", None, tmp_path)
    batch = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    batch.write_bytes(batch.read_bytes()[:100])
    assert len(sources.read("cifar10", None, tmp_path).train_labels) == 100
    assert server.asked == ["whole"]
