"""What an import of a pickle means: made for weights, able to run commands, or neither.

What is not known is suspicious. What is allowed is what picklescan allows as well, and what it forbids is forbidden
here, mostly with the modules that hold it as a whole, and with others that do the same.
"""

from typing import Final

from kamiwaza_sdk.formats.schemas.pickles import PickleVerdict

__all__ = ["UNRESOLVED", "judge"]

#: What stands for a module or a name that cannot be told without loading.
UNRESOLVED: Final = "?"

_TORCH_STORAGES: Final = [
    "BFloat16",
    "Bool",
    "Byte",
    "Char",
    "ComplexDouble",
    "ComplexFloat",
    "Double",
    "Float",
    "Half",
    "Int",
    "Long",
    "QInt32",
    "QInt8",
    "QUInt2x4",
    "QUInt4x2",
    "QUInt8",
    "Short",
]
ALLOWED: Final = frozenset(
    {
        ("collections", "OrderedDict"),
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("torch._utils", "_rebuild_tensor_v2"),
        *(("torch", f"{kind}Storage") for kind in _TORCH_STORAGES),
    }
)
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


def judge(module: str, name: str) -> PickleVerdict:
    """Return what an import means.

    A name can lead on from what it names (``Foo.__init__.__globals__``), so only the plain ones are allowed.
    """
    if (module, name) in ALLOWED:
        return "safe"
    if module in _BUILTINS and name in _HARMLESS_BUILTINS:
        return "suspicious"
    parts = module.split(".")
    parents = {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
    hidden = {UNRESOLVED, "unknown"}
    if (
        parents & (DENIED | _BUILTINS)
        or (module, name) in DENIED_NAMES
        or any(part.startswith("__") for part in name.split("."))
        or any(word in text for word in hidden for text in (module, name))
    ):
        return "dangerous"
    return "suspicious"
