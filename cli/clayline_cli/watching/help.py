"""What ``clayline watch --help`` says: examples that hold over what `make demo` leaves, and every exit status."""

from typing import Final

_STOPPED: Final = "  130  stopped by Ctrl-C (SIGINT); 143 by SIGTERM, 129 by SIGHUP, 128 + n by signal n\n"
_UCI: Final = "21JYM49779393-s64g30000_20200518-20200518_landsat8-oli-l1_starter-v1.0-l1-rgb"

_ADD: Final = f"""\
  clayline watch add shore out --like -54.5383,-25.2987
  clayline watch add fields out --like {_UCI} --unlike -54.5383,-25.2987
  clayline watch add dams s3://my-embeddings --like mine.tif@-54.58,-25.37 --in -54.7,-25.6,-54.4,-25.2
  clayline watch add shore out --threshold 0.45
  clayline watch add shore out --in none
"""
_EXAMPLES: Final = {
    "add": _ADD,
    "list": "  clayline watch list out\n  clayline watch list s3://my-embeddings --json\n",
    "show": "  clayline watch show shore out\n",
    "remove": "  clayline watch remove shore out\n",
    "test": """\
  clayline watch test shore out
  clayline watch test shore out --threshold 0.5 --time 2020-05-01/2020-05-31
""",
}
_STATUS: Final = {
    "add": """\
  0    the version is kept
  2    nothing is kept: the command line is wrong, an example is not there, examples are of several models, there is no
       version before whose probe could be taken over, it is damaged, S3 does not answer. A sentence says why
""",
    "list": """\
  0    all are told, be it none
  1    a watch is damaged: the others are told, and a warning names each
  2    nothing is told: the command line is wrong, there is no such place
""",
    "show": """\
  0    it is told
  2    it is not: there is no such watch, it was removed, or it is damaged
""",
    "remove": """\
  0    it calls nobody any more
  2    it was not removed: there is no such watch, or it was removed before
""",
    "test": """\
  0    it is told, be it that no chip takes part
  2    it is not: there is no such watch, no scene of its model lies there, a file cannot be read
""",
}
EPILOGS: Final = {
    name: f"examples:\n{_EXAMPLES[name]}\nexit status:\n{status}{_STOPPED}" for name, status in _STATUS.items()
}
"""Of each word."""
EPILOG: Final = f"""\
`clayline watch WORD --help` has each word's options.

examples:
{_ADD}  clayline watch test shore out
  clayline watch list s3://my-embeddings
  clayline watch remove shore out

exit status:
  0    it was done
  1    list: a watch is damaged; the others are told
  2    it could not be done: the command line is wrong, an example is not there, there is no such watch, it is damaged.
       A sentence says why
{_STOPPED}"""
"""Of the command."""
