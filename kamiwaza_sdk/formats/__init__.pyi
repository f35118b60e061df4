# Written by tests/public_names.py from kamiwaza_sdk/_names.py.

from kamiwaza_sdk.formats.exceptions import FormatException as FormatException
from kamiwaza_sdk.formats.exceptions import FormatLimitException as FormatLimitException
from kamiwaza_sdk.formats.exceptions import MalformedFileException as MalformedFileException
from kamiwaza_sdk.formats.exceptions import NotTheModelException as NotTheModelException
from kamiwaza_sdk.formats.exceptions import UnknownFormatException as UnknownFormatException
from kamiwaza_sdk.formats.exceptions import UnknownVariantException as UnknownVariantException
from kamiwaza_sdk.formats.inspection import FileFormat as FileFormat
from kamiwaza_sdk.formats.inspection import ReadRange as ReadRange
from kamiwaza_sdk.formats.inspection import detect_format as detect_format
from kamiwaza_sdk.formats.inspection import inspect_file as inspect_file
from kamiwaza_sdk.formats.inspection import inspect_remote as inspect_remote
from kamiwaza_sdk.formats.layouts.describe import describe_layout as describe_layout
from kamiwaza_sdk.formats.memory import HasWeights as HasWeights
from kamiwaza_sdk.formats.memory import estimate_memory as estimate_memory
from kamiwaza_sdk.formats.memory import longest_context as longest_context
from kamiwaza_sdk.formats.repository import DESCRIBING_FILES as DESCRIBING_FILES
from kamiwaza_sdk.formats.repository import combine_shards as combine_shards
from kamiwaza_sdk.formats.repository import describe_repository as describe_repository
from kamiwaza_sdk.formats.repository import inspect_directory as inspect_directory
from kamiwaza_sdk.formats.repository import inspect_shards as inspect_shards
from kamiwaza_sdk.formats.schemas import AttentionLayersSchema as AttentionLayersSchema
from kamiwaza_sdk.formats.schemas import AttentionSchema as AttentionSchema
from kamiwaza_sdk.formats.schemas import CompanionSchema as CompanionSchema
from kamiwaza_sdk.formats.schemas import FormatSchema as FormatSchema
from kamiwaza_sdk.formats.schemas import GGUFArraySchema as GGUFArraySchema
from kamiwaza_sdk.formats.schemas import GGUFSchema as GGUFSchema
from kamiwaza_sdk.formats.schemas import GGUFValue as GGUFValue
from kamiwaza_sdk.formats.schemas import IncompleteVariantSchema as IncompleteVariantSchema
from kamiwaza_sdk.formats.schemas import LayoutSchema as LayoutSchema
from kamiwaza_sdk.formats.schemas import MemoryEstimateSchema as MemoryEstimateSchema
from kamiwaza_sdk.formats.schemas import ONNXSchema as ONNXSchema
from kamiwaza_sdk.formats.schemas import ONNXValueSchema as ONNXValueSchema
from kamiwaza_sdk.formats.schemas import OtherFileSchema as OtherFileSchema
from kamiwaza_sdk.formats.schemas import OtherFormat as OtherFormat
from kamiwaza_sdk.formats.schemas import PickleImportSchema as PickleImportSchema
from kamiwaza_sdk.formats.schemas import PickleSchema as PickleSchema
from kamiwaza_sdk.formats.schemas import PickleVerdict as PickleVerdict
from kamiwaza_sdk.formats.schemas import RepositoryDetailsSchema as RepositoryDetailsSchema
from kamiwaza_sdk.formats.schemas import SafetensorsSchema as SafetensorsSchema
from kamiwaza_sdk.formats.schemas import ShardedSafetensorsSchema as ShardedSafetensorsSchema
from kamiwaza_sdk.formats.schemas import TensorSchema as TensorSchema
from kamiwaza_sdk.formats.schemas import TensorTable as TensorTable
from kamiwaza_sdk.formats.schemas import VariantSchema as VariantSchema

__all__ = [
    "AttentionLayersSchema",
    "AttentionSchema",
    "CompanionSchema",
    "DESCRIBING_FILES",
    "FileFormat",
    "FormatException",
    "FormatLimitException",
    "FormatSchema",
    "GGUFArraySchema",
    "GGUFSchema",
    "GGUFValue",
    "HasWeights",
    "IncompleteVariantSchema",
    "LayoutSchema",
    "MalformedFileException",
    "MemoryEstimateSchema",
    "NotTheModelException",
    "ONNXSchema",
    "ONNXValueSchema",
    "OtherFileSchema",
    "OtherFormat",
    "PickleImportSchema",
    "PickleSchema",
    "PickleVerdict",
    "ReadRange",
    "RepositoryDetailsSchema",
    "SafetensorsSchema",
    "ShardedSafetensorsSchema",
    "TensorSchema",
    "TensorTable",
    "UnknownFormatException",
    "UnknownVariantException",
    "VariantSchema",
    "combine_shards",
    "describe_layout",
    "describe_repository",
    "detect_format",
    "estimate_memory",
    "inspect_directory",
    "inspect_file",
    "inspect_remote",
    "inspect_shards",
    "longest_context",
]
