"""`python -m understanding_bn STAGE …`"""

import sys

from understanding_bn import warm
from understanding_bn.training import signals

if __name__ == "__main__":
    if sys.argv[1:2] == [warm.STAGE]:
        # It returns in each fork, which has taken over a command's arguments.
        warm.serve(sys.argv[2], (*warm.PRELOADED, *sys.argv[3:]))
        signals.end_with_a_line()
        from understanding_bn.cli import main

        warm.finish(main)
    warm.hand_over(sys.argv[1:])  # returns where there is no warm process
    signals.end_with_a_line()
    from understanding_bn.cli import main

    main()
