"""Measures of why a rule learns, and of what a circuit gets wrong."""

from neurosim.analysis.active_paths import ActivePaths, active_paths
from neurosim.analysis.alignment import angle, gradient_alignment
from neurosim.analysis.alignment_recorder import AlignmentRecorder
from neurosim.analysis.cluster_quality import cluster_quality
from neurosim.analysis.code_errors import CodeErrors, code_errors
from neurosim.analysis.credit_quality import CreditQuality, credit_quality
from neurosim.analysis.embedding import EmbeddingSettings, embed, principal_components
from neurosim.analysis.relative_std import credit_relative_std, relative_std
from neurosim.analysis.representations import save_activity
from neurosim.analysis.run_alignment import CheckpointAlignment, run_alignment
from neurosim.analysis.sign_agreement import SignAgreement, compare_signs, sign_agreement
from neurosim.analysis.width_theory import (
    measured_relative_std,
    predicted_angle,
    predicted_onoff_relative_std,
    predicted_relative_std,
)

__all__ = [
    "ActivePaths",
    "AlignmentRecorder",
    "CheckpointAlignment",
    "CodeErrors",
    "CreditQuality",
    "EmbeddingSettings",
    "SignAgreement",
    "active_paths",
    "angle",
    "cluster_quality",
    "code_errors",
    "compare_signs",
    "credit_quality",
    "credit_relative_std",
    "embed",
    "gradient_alignment",
    "measured_relative_std",
    "predicted_angle",
    "predicted_onoff_relative_std",
    "predicted_relative_std",
    "principal_components",
    "relative_std",
    "run_alignment",
    "save_activity",
    "sign_agreement",
]
