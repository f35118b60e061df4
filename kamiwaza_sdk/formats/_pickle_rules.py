"""What an import of a pickle means: made for weights, able to run commands, or neither.

What is not known is suspicious. What is allowed is what PyTorch's own reader of weights allows, and what NumPy's arrays
need. What picklescan forbids is forbidden here, mostly with the modules that hold it as a whole, and with others that
do the same.
"""

from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from typing import Final

from kamiwaza_sdk.formats._pickle_allowed import NUMPY, TORCH
from kamiwaza_sdk.formats.schemas.pickles import PickleVerdict

__all__ = ["UNRESOLVED", "judge"]

#: What stands for a module or a name that cannot be told without loading.
UNRESOLVED: Final = "?"

ALLOWED: Final = TORCH | NUMPY
#: Their other contents run commands, open files or import what they are told.
_HARMLESS_BUILTINS: Final = frozenset(
    [
        "bool",
        "bytearray",
        "bytes",
        "complex",
        "dict",
        "float",
        "frozenset",
        "int",
        "list",
        "long",
        "object",
        "range",
        "set",
        "slice",
        "str",
        "tuple",
        "unicode",
    ]
)
_BUILTINS: Final = frozenset({"builtins", "__builtin__"})
#: With all that is in them, submodules too: they start programs, run text as code, reach attributes by name, load other
#: pickles, open files, or talk to the network.
DENIED: Final = frozenset(
    [
        "_aix_support",
        "_ctypes",
        "_imp",
        "_io",
        "_operator",
        "_osx_support",
        "_pickle",
        "_posixsubprocess",
        "_pyrepl",
        "_socket",
        "_thread",
        "_winapi",
        "aiohttp",
        "ast",
        "asyncio",
        "atexit",
        "bdb",
        "cProfile",
        "cPickle",
        "cloudpickle",
        "code",
        "codeop",
        "codecs",
        "commands",
        "compileall",
        "concurrent",
        "ctypes",
        "dill",
        "distutils",
        "doctest",
        "ensurepip",
        "faulthandler",
        "fileinput",
        "ftplib",
        "functools",
        "gc",
        "glob",
        "http",
        "httplib",
        "idlelib",
        "imaplib",
        "imp",
        "importlib",
        "inspect",
        "io",
        "jsonpickle",
        "lib2to3",
        "linecache",
        "mailcap",
        "marshal",
        "mmap",
        "modulefinder",
        "msvcrt",
        "multiprocessing",
        "nntplib",
        "nt",
        "ntpath",
        "operator",
        "os",
        "pdb",
        "pexpect",
        "pickle",
        "pickletools",
        "pip",
        "pkg_resources",
        "pkgutil",
        "platform",
        "poplib",
        "popen2",
        "posix",
        "posixpath",
        "profile",
        "psutil",
        "pty",
        "pydoc",
        "readline",
        "requests",
        "resource",
        "rlcompleter",
        "runpy",
        "select",
        "selectors",
        "setuptools",
        "sched",
        "shelve",
        "shlex",
        "shutil",
        "signal",
        "site",
        "smtpd",
        "smtplib",
        "socket",
        "socketserver",
        "sqlite3",
        "ssl",
        "subprocess",
        "symtable",
        "sys",
        "sysconfig",
        "tarfile",
        "telnetlib",
        "tempfile",
        "test",
        "this",
        "threading",
        "timeit",
        "trace",
        "tracemalloc",
        "unittest",
        "urllib",
        "urllib2",
        "urllib3",
        "uuid",
        "venv",
        "webbrowser",
        "winreg",
        "wsgiref",
        "xmlrpc",
        "zipapp",
        "zipfile",
        "zipimport",
        "joblib.numpy_pickle",
        "logging.config",
        "logging.handlers",
        "numpy.ctypeslib",
        "numpy.f2py",
        "numpy.lib.npyio",
        "numpy.lib._npyio_impl",
        "numpy.testing",
        "pandas.io.pickle",
        "torch._dynamo",
        "torch._inductor",
        "torch.fx.experimental",
        "torch.hub",
        "torch.jit.unsupported_tensor_ops",
        "torch.package",
        "torch.serialization",
        "torch.utils._config_module",
        "torch.utils.bottleneck",
        "torch.utils.collect_env",
        "torch.utils.cpp_extension",
        "torch.utils.data.datapipes",
    ]
)
DENIED_NAMES: Final = frozenset(
    {
        ("joblib", "load"),
        ("logging", "FileHandler"),
        ("numpy", "fromfile"),
        ("numpy", "load"),
        ("numpy", "loadtxt"),
        ("numpy", "memmap"),
        ("numpy", "save"),
        ("pandas", "read_pickle"),
        ("torch", "load"),
        ("torch", "save"),
        ("types", "CodeType"),
        ("types", "FunctionType"),
    }
)


#: Of modules that are forbidden, what can do no harm where the file is whole: it marks where joblib wrote an array.
_EXCEPTIONS: Final = frozenset({("joblib.numpy_pickle", "NumpyArrayWrapper")})


def judge(module: str, name: str) -> PickleVerdict:
    """Return what an import means, also where an old pickle calls it by the name that it had in Python 2."""
    today = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    if today in ALLOWED and module in {today[0], "__builtin__"}:
        return "safe"
    return "dangerous" if _is_dangerous(module, name) or _is_dangerous(*today) else "suspicious"


def _is_dangerous(module: str, name: str) -> bool:
    """Return whether an import can run commands, or is hidden.

    A name can lead on from what it names (``Foo.__init__.__globals__``), so only the plain ones are harmless.
    """
    if (module in _BUILTINS and name in _HARMLESS_BUILTINS) or (module, name) in _EXCEPTIONS:
        return False
    parts = module.split(".")
    parents = {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
    hidden = {UNRESOLVED, "unknown"}
    return bool(
        parents & (DENIED | _BUILTINS)
        or (module, name) in DENIED_NAMES
        or any(part.startswith("__") and (part.endswith("__") or "." in name) for part in name.split("."))
        or any(word in text for word in hidden for text in (module, name))
    )
