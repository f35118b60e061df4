"""What files say about themselves, as Pydantic models."""

from kamiwaza_sdk.formats.schemas.attention import AttentionLayersSchema, AttentionSchema, MemoryEstimateSchema, Runtime
from kamiwaza_sdk.formats.schemas.gguf import GGUFArraySchema, GGUFSchema, GGUFValue
from kamiwaza_sdk.formats.schemas.layout import (
    CompanionKind,
    CompanionSchema,
    IncompleteVariantSchema,
    LayoutSchema,
    VariantSchema,
)
from kamiwaza_sdk.formats.schemas.onnx import ONNXSchema, ONNXValueSchema
from kamiwaza_sdk.formats.schemas.other import OtherFileSchema, OtherFormat
from kamiwaza_sdk.formats.schemas.pickles import PickleImportSchema, PickleSchema, PickleVerdict
from kamiwaza_sdk.formats.schemas.repository import RepositoryDetailsSchema
from kamiwaza_sdk.formats.schemas.safetensors import SafetensorsSchema, ShardedSafetensorsSchema
from kamiwaza_sdk.formats.schemas.tensors import TensorSchema, TensorTable

__all__ = [
    "AttentionLayersSchema",
    "AttentionSchema",
    "CompanionKind",
    "CompanionSchema",
    "GGUFArraySchema",
    "GGUFSchema",
    "GGUFValue",
    "IncompleteVariantSchema",
    "LayoutSchema",
    "MemoryEstimateSchema",
    "ONNXSchema",
    "ONNXValueSchema",
    "OtherFileSchema",
    "OtherFormat",
    "PickleImportSchema",
    "PickleSchema",
    "PickleVerdict",
    "RepositoryDetailsSchema",
    "Runtime",
    "SafetensorsSchema",
    "ShardedSafetensorsSchema",
    "TensorSchema",
    "TensorTable",
    "VariantSchema",
]
