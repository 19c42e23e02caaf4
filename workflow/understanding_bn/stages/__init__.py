"""What each command does: a job and files in, files and a record out."""
