"""`privacy`: what the adapter may tell about its rows."""

from medlora.config.declaration import Section, key

_OPACUS = "Opacus, make_private_with_epsilon"


class DpConfig(Section):
    """Differential privacy: noise that hides whether any one row was trained on."""

    target_epsilon: float | None = key(
        None,
        gt=0,
        le=1000,
        unit="nats of privacy loss",
        source=_OPACUS,
        description="DP-SGD: what a whole run may tell about one row, e.g. 8; less is more "
        "private; needs the extra dp; unset: off",
    )
    target_delta: float | None = key(
        None,
        gt=0,
        lt=1,
        unit="probability",
        source=_OPACUS,
        description="chance that epsilon does not hold; unset: a tenth of 1 / rows, 1e-5 at most",
    )
    max_grad_norm: float = key(
        0.5,
        gt=0,
        allow_inf_nan=False,
        unit="norm of the gradient",
        source=_OPACUS,
        description="clip each row's gradient, instead of training.max_grad_norm",
    )


class PrivacyConfig(Section):
    """What the adapter may tell about its rows."""

    dp: DpConfig = DpConfig()
