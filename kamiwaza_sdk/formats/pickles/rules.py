"""Judges the imports of pickles: safe, suspicious or dangerous.

Safe are the imports that PyTorch's own reader of weights allows, and those that arrays of NumPy need. Dangerous are
those that picklescan forbids, mostly the whole modules that hold them, and others with the same effect. All others are
suspicious.
"""

from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from typing import Final

from kamiwaza_sdk.formats.schemas.files import PickleVerdict

#: The release that `TORCH` was read from: the keys of ``torch._weights_only_unpickler._get_allowed_globals()`` after a
#: plain ``import torch``, by module. ``nox -s oracles`` compares them.
TORCH_RELEASE: Final = "2.14.1"
_TORCH_BY_MODULE: Final = {
    "_codecs": "encode",
    "builtins": "bytearray complex set",
    "collections": "Counter OrderedDict",
    "torch": """
        BFloat16Storage BFloat16Tensor BoolStorage BoolTensor ByteStorage ByteTensor CharStorage CharTensor
        ComplexDoubleStorage ComplexFloatStorage DoubleStorage DoubleTensor FloatStorage FloatTensor
        HalfStorage HalfTensor IntStorage IntTensor LongStorage LongTensor QInt32Storage QInt8Storage
        QUInt2x4Storage QUInt4x2Storage QUInt8Storage ShortStorage ShortTensor Size Tensor bcomplex32
        bfloat16 bits16 bits1x8 bits2x4 bits4x2 bits8 bool complex128 complex32 complex64 device float16
        float32 float4_e2m1fn_x2 float64 float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz
        float8_e8m0fnu int1 int16 int2 int3 int32 int4 int5 int6 int64 int7 int8 per_channel_affine
        per_channel_affine_float_qparams per_channel_symmetric per_tensor_affine per_tensor_symmetric qint32
        qint8 quint2x4 quint4x2 quint8 uint1 uint16 uint2 uint3 uint32 uint4 uint5 uint6 uint64 uint7 uint8
    """,
    "torch._tensor": "_rebuild_from_type_v2",
    "torch._utils": """
        _rebuild_device_tensor_from_cpu_tensor _rebuild_device_tensor_from_numpy
        _rebuild_meta_tensor_no_storage _rebuild_nested_tensor _rebuild_parameter
        _rebuild_parameter_with_state _rebuild_qtensor _rebuild_sparse_tensor _rebuild_tensor
        _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_wrapper_subclass
    """,
    "torch.cuda": """
        BFloat16Storage BFloat16Tensor BoolStorage BoolTensor ByteStorage ByteTensor CharStorage CharTensor
        ComplexDoubleStorage ComplexFloatStorage DoubleStorage DoubleTensor FloatStorage FloatTensor
        HalfStorage HalfTensor IntStorage IntTensor LongStorage LongTensor ShortStorage ShortTensor
    """,
    "torch.cuda.sparse": """
        BFloat16Tensor ByteTensor CharTensor DoubleTensor FloatTensor HalfTensor IntTensor LongTensor
        ShortTensor
    """,
    "torch.nn.parameter": "Parameter",
    "torch.serialization": "_get_layout",
    "torch.sparse": """
        BFloat16Tensor ByteTensor CharTensor DoubleTensor FloatTensor HalfTensor IntTensor LongTensor
        ShortTensor
    """,
    "torch.storage": "TypedStorage UntypedStorage",
}
TORCH: Final = frozenset((module, name) for module, names in _TORCH_BY_MODULE.items() for name in names.split())
#: The imports of pickled arrays, scalars and types of NumPy 1.26 and 2.4; protocol 5 needs ``_frombuffer``. The modules
#: have an underscore since NumPy 2.
NUMPY: Final = frozenset(
    {
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
        *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
    }
)


#: Stands for a module or a name that only loading can tell.
UNRESOLVED: Final = "?"

ALLOWED: Final = TORCH | NUMPY
#: The other builtins run commands, open files or import any module.
_HARMLESS_BUILTINS: Final = frozenset(
    {"bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "long", "object", "range"}
    | {"set", "slice", "str", "tuple", "unicode"}
)
_BUILTINS: Final = frozenset({"builtins", "__builtin__"})
#: Modules that start programs, run text as code, get attributes by name, load other pickles, open files, or use the
#: network; with their submodules.
_DENIED: Final = """
    _aix_support _ctypes _imp _io _operator _osx_support _pickle _posixsubprocess _pyrepl _socket _thread
    _winapi aiohttp ast asyncio atexit bdb cProfile cPickle cloudpickle code codeop codecs commands compileall
    concurrent ctypes dill distutils doctest ensurepip faulthandler fileinput ftplib functools gc glob http
    httplib idlelib imaplib imp importlib inspect io jsonpickle lib2to3 linecache mailcap marshal mmap
    modulefinder msvcrt multiprocessing nntplib nt ntpath operator os pdb pexpect pickle pickletools pip
    pkg_resources pkgutil platform poplib popen2 posix posixpath profile psutil pty pydoc readline requests
    resource rlcompleter runpy select selectors setuptools sched shelve shlex shutil signal site smtpd smtplib
    socket socketserver sqlite3 ssl subprocess symtable sys sysconfig tarfile telnetlib tempfile test this
    threading timeit trace tracemalloc unittest urllib urllib2 urllib3 uuid venv webbrowser winreg wsgiref
    xmlrpc zipapp zipfile zipimport joblib.numpy_pickle logging.config logging.handlers numpy.ctypeslib
    numpy.f2py numpy.lib.npyio numpy.lib._npyio_impl numpy.testing pandas.io.pickle torch._dynamo
    torch._inductor torch.fx.experimental torch.hub torch.jit.unsupported_tensor_ops torch.package
    torch.serialization torch.utils._config_module torch.utils.bottleneck torch.utils.collect_env
    torch.utils.cpp_extension torch.utils.data.datapipes
"""
DENIED: Final = frozenset(_DENIED.split())
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


#: A harmless name in a forbidden module, where the file is whole: it marks an array that joblib wrote.
_EXCEPTIONS: Final = frozenset({("joblib.numpy_pickle", "NumpyArrayWrapper")})


def judge(module: str, name: str) -> PickleVerdict:
    """Return the verdict on an import, also by its name in Python 2, which old pickles use."""
    today = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    if today in ALLOWED and module in {today[0], "__builtin__"}:
        return "safe"
    return "dangerous" if _is_dangerous(module, name) or _is_dangerous(*today) else "suspicious"


def _is_dangerous(module: str, name: str) -> bool:
    """Return whether an import can run commands, or is hidden.

    Only names without dots are harmless: others can lead to anything (``Foo.__init__.__globals__``).
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
