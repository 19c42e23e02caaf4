"""`python -m understanding_bn STAGE …`"""

from understanding_bn.cli import main

if __name__ == "__main__":
    main()
