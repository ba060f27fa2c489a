"""What the bank knows of a channel before the first sample: lag, noise, agility, range."""

import hashlib
from enum import StrEnum

import msgspec

from cbrn_core.errors import FusionError

GATE = 10.827566
"""χ² with one degree of freedom at 99.9 %: above it an innovation is a suspected outlier."""

_REFERENCE_TAU_S = 13.0288344571
"""τ of T90 = 30 s, where q = σ² per second was found good (step 0→10 ppm, σ 0.2, 1 Hz)."""


class Kind(StrEnum):
    """How a channel answers to the world."""

    WALK = "walk"
    LAG = "lag"
    COUNTS = "counts"


class ChannelModel(msgspec.Struct, frozen=True, kw_only=True):
    """Model of one row of the bank; all values in the channel's canonical unit.

    Attributes:
        key: opaque name of the row, by which a snapshot finds it again.
        tau_rise_s: time constant of the rise, T90 / ln 10; `lag` only.
        tau_fall_s: time constant of the clear-down; None = as the rise.
        sigma: noise of one reading, one standard deviation; None = learnt from the
            differences of the first ~60 quiet samples, at least resolution/√12.
        lod: limit of detection, below which the instrument may show zero.
        range: least and greatest reading; at the greatest the instrument is saturated.
        process_density: q of the random walk of the concentration, unit²/s. None =
            σ²/period for a walk (tracking index qT/R = 1); for a lag the q that keeps
            the noise of the deconvolved concentration at 1.2 σ whatever the lag.
        period_s: nominal interval of the samples.
        memory_s: memory of the counting filter; `counts` only.
        gate: NIS above which a sample is a suspected outlier; inf = plain Kalman filter.
        nonnegative: clamp what is published (never the state) at zero.
    """

    key: str
    kind: Kind = Kind.WALK
    tau_rise_s: float | None = None
    tau_fall_s: float | None = None
    sigma: float | None = None
    resolution: float = 0.0
    lod: float | None = None
    range: tuple[float, float] | None = None
    process_density: float | None = None
    period_s: float = 1.0
    memory_s: float = 60.0
    gate: float = GATE
    nonnegative: bool = False

    def __post_init__(self) -> None:
        if self.kind is Kind.LAG and self.tau_rise_s is None:
            raise FusionError(f"{self.key}: a lag needs tau_rise_s")
        positive = {
            "tau_rise_s": self.tau_rise_s,
            "tau_fall_s": self.tau_fall_s,
            "process_density": self.process_density,
            "period_s": self.period_s,
            "memory_s": self.memory_s,
            "gate": self.gate,
        }
        for name, figure in positive.items():
            if figure is not None and not figure > 0:
                raise FusionError(f"{self.key}: {name} must be positive")
        for name, figure in (("sigma", self.sigma), ("resolution", self.resolution)):
            if figure is not None and not 0 <= figure < float("inf"):
                raise FusionError(f"{self.key}: {name} must not be negative")
        if self.range is not None and not self.range[0] < self.range[1]:
            raise FusionError(f"{self.key}: the range is empty")

    @property
    def fall_s(self) -> float | None:
        """Return the time constant of the clear-down."""
        return self.tau_fall_s if self.tau_fall_s is not None else self.tau_rise_s

    @property
    def variance_floor(self) -> float:
        """Return the least credible R: quantisation, else a millionth of the range squared."""
        span = self.range[1] - self.range[0] if self.range is not None else 0.0
        least = max(1e-6 * span, 1e-9)
        return max(self.resolution**2 / 12, least**2)

    def variance(self, sigma: float) -> float:
        """Return R of a reading with noise `sigma`: σ² plus the quantisation's LSB²/12."""
        return max(sigma**2 + self.resolution**2 / 12, self.variance_floor)

    def density(self, R: float) -> float:
        """Return q [unit²/s] for the measurement variance `R` [unit²].

        Continuous-time lag filter: ω⁴ = q/(R T τ²) and noise(c)²/R ≈ 0.7 T τ² ω³, so an
        equal noise needs q ∝ R τ^(−2/3) T^(−1/3), scaled to the reference above.
        """
        if self.process_density is not None:
            return self.process_density
        if self.kind is not Kind.LAG or self.tau_rise_s is None:
            return R / self.period_s
        lag = float((_REFERENCE_TAU_S / self.tau_rise_s) ** (2 / 3))
        return R * lag * float(self.period_s ** (-1 / 3))

    def hash(self) -> str:
        """Return the fingerprint of all but the key: state survives only under an equal one."""
        plain = msgspec.structs.replace(self, key="")
        return hashlib.sha256(msgspec.msgpack.encode(plain, enc_hook=float)).hexdigest()[:32]
