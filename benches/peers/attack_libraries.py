"""The attacks that `buckler evaluate` and the attack libraries have in common, with the same parameters in each."""
import logging
from fractions import Fraction

import numpy as np
import torch
import torch.nn as nn

STEPS, APGD_STEPS, QUERIES, DEEPFOOL_STEPS, SEARCHES = 20, 100, 5000, 50, 9
PACKAGES = {
    "pyautoattack": "pyautoattack",
    "torchattacks": "torchattacks",
    "foolbox": "foolbox",
    "art": "adversarial-robustness-toolbox",
}
# Each attack's norm, the flags of `buckler evaluate` beside --attack, --norm, --eps and --seed, and whether it looks for the closest.
ATTACKS = {
    "fgsm": ("linf", [], False),
    "pgd": ("linf", ["steps", "step-size"], False),
    "pgd-l2": ("l2", ["steps", "step-size"], False),
    "mim": ("linf", ["steps", "step-size"], False),
    "apgd-ce": ("linf", [], False),
    "apgd-ce-l2": ("l2", [], False),
    "apgd-dlr": ("linf", [], False),
    "apgd-t": ("linf", [], False),
    "fab": ("linf", [], False),
    "fab-t": ("linf", [], False),
    "square": ("linf", [], False),
    "cw": ("l2", ["cw-steps"], True),
    "deepfool": ("l2", [], True),
    "autoattack": ("linf", [], False),
    "autoattack-l2": ("l2", [], False),
    "spsa": ("linf", ["spsa-steps"], False),
}
# Without those that take long or are of little news.
USUAL = [name for name in ATTACKS if name not in ("apgd-ce-l2", "autoattack-l2", "spsa")]


class Task:
    """One attack on some images, with its parameters."""

    def __init__(self, name, args, model, shape, classes):
        self.name, (self.norm, self.flags, self.closest) = name, ATTACKS[name]
        self.kind = name.removesuffix("-l2")
        self.draws = self.kind not in ("fgsm", "cw", "deepfool")
        self.eps_text = args.eps if self.norm == "linf" else args.eps_l2
        self.eps = float(Fraction(self.eps_text))
        self.step = 2.5 * self.eps / STEPS
        self.args, self.model, self.shape, self.classes = args, model, shape, classes
        self.values = {
            "steps": STEPS,
            "step-size": self.step,
            "cw-steps": args.cw_steps,
            "spsa-steps": args.spsa_steps,
        }

    @property
    def reference_norm(self):
        return {"linf": "Linf", "l2": "L2"}[self.norm]

    def parameters(self):
        said = {
            "fgsm": "",
            "pgd": f"{STEPS} steps of 2.5 eps / {STEPS}, random start",
            "mim": f"{STEPS} steps of 2.5 eps / {STEPS}, decay 1",
            "apgd-ce": f"{APGD_STEPS} steps",
            "apgd-dlr": f"{APGD_STEPS} steps",
            "apgd-t": f"{APGD_STEPS} steps, 9 targets",
            "fab": f"{APGD_STEPS} steps",
            "fab-t": f"{APGD_STEPS} steps, 9 targets",
            "square": f"{QUERIES} queries",
            "cw": f"{SEARCHES} searches of {self.args.cw_steps} steps, c from 0.001",
            "deepfool": f"{DEEPFOOL_STEPS} steps, overshoot 0.02",
            "autoattack": "standard",
            "spsa": f"{self.args.spsa_steps} steps of 2048 pairs",
        }[self.kind]
        return f"{self.norm} {self.eps_text}" + (f", {said}" if said else "")


def of_pyautoattack(task):
    from pyautoattack import AutoAttack
    from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted
    from pyautoattack.fab_pt import FABAttack_PT
    from pyautoattack.square import SquareAttack

    log = logging.getLogger("auto-attack")
    usual = {"norm": task.reference_norm, "eps": task.eps, "seed": task.args.seed, "device": "cpu"}
    apgd = {**usual, "n_iter": APGD_STEPS, "n_restarts": 1, "logger": log}
    make = {
        "apgd-ce": lambda: APGDAttack(task.model, loss="ce", **apgd).perturb,
        "apgd-dlr": lambda: APGDAttack(task.model, loss="dlr", **apgd).perturb,
        "apgd-t": lambda: APGDAttack_targeted(task.model, **apgd).perturb,
        "fab": lambda: FABAttack_PT(task.model, n_iter=APGD_STEPS, **usual).perturb,
        "fab-t": lambda: FABAttack_PT(task.model, n_iter=APGD_STEPS, targeted=True, **usual).perturb,
        "square": lambda: SquareAttack(task.model, n_queries=QUERIES, resc_schedule=False, **usual).perturb,
        "autoattack": lambda: lambda x, y: AutoAttack(task.model, **usual).run_standard_evaluation(x, y)[0],
    }.get(task.kind)
    return {"pyautoattack": make} if make else {}


def of_torchattacks(task):
    import torchattacks as ta

    model, eps, norm, seed = task.model, task.eps, task.reference_norm, task.args.seed
    apgd = {"norm": norm, "eps": eps, "steps": APGD_STEPS, "seed": seed}
    square = {"norm": norm, "eps": eps, "n_queries": QUERIES, "resc_schedule": False, "seed": seed}
    pgd = ta.PGD if task.norm == "linf" else ta.PGDL2

    def full():
        attacks = [ta.APGD(model, **apgd), ta.APGDT(model, **apgd), ta.FAB(model, multi_targeted=True, **apgd)]
        return ta.MultiAttack([*attacks, ta.Square(model, **square)])

    make = {
        "fgsm": lambda: ta.FGSM(model, eps=eps),
        "pgd": lambda: pgd(model, eps=eps, alpha=task.step, steps=STEPS, random_start=True),
        "mim": lambda: ta.MIFGSM(model, eps=eps, alpha=task.step, steps=STEPS, decay=1.0),
        "apgd-ce": lambda: ta.APGD(model, loss="ce", **apgd),
        "apgd-dlr": lambda: ta.APGD(model, loss="dlr", **apgd),
        "apgd-t": lambda: ta.APGDT(model, **apgd),
        "fab": lambda: ta.FAB(model, **apgd),
        "fab-t": lambda: ta.FAB(model, multi_targeted=True, **apgd),
        "square": lambda: ta.Square(model, **square),
        "cw": lambda: ta.CW(model, c=1, steps=task.args.cw_steps, lr=0.01),
        "deepfool": lambda: ta.DeepFool(model, steps=DEEPFOOL_STEPS, overshoot=0.02),
        "autoattack": full,
        "spsa": lambda: ta.SPSA(model, eps=eps, delta=0.01, lr=0.01, nb_iter=task.args.spsa_steps, nb_sample=2048),
    }.get(task.kind)
    # CW has one c, and looks for none.
    name = {"cw": "torchattacks, c = 1"}.get(task.kind, "torchattacks")
    found = {name: make} if make else {}
    if task.kind == "autoattack":
        found["torchattacks, as shipped"] = lambda: ta.AutoAttack(model, norm=norm, eps=eps, n_classes=task.classes, seed=seed)
    return found


def of_foolbox(task):
    import foolbox as fb

    victim = fb.PyTorchModel(task.model, bounds=(0, 1), device="cpu")
    steps = {"abs_stepsize": task.step, "steps": STEPS}
    pgd = fb.attacks.LinfPGD if task.norm == "linf" else fb.attacks.L2PGD
    cw = {"binary_search_steps": SEARCHES, "steps": task.args.cw_steps, "stepsize": 0.01, "initial_const": 1e-3}
    make = {
        "fgsm": lambda: fb.attacks.LinfFastGradientAttack(random_start=False),
        "pgd": lambda: pgd(random_start=True, **steps),
        "mim": lambda: fb.attacks.LinfMomentumIterativeFastGradientMethod(momentum=1.0, random_start=False, **steps),
        "cw": lambda: fb.attacks.L2CarliniWagnerAttack(**cw),
        "deepfool": lambda: fb.attacks.L2DeepFoolAttack(steps=DEEPFOOL_STEPS, candidates=10, overshoot=0.02),
    }.get(task.kind)
    if make is None:
        return {}
    # Those that look for the closest return it whatever the radius.
    eps = None if task.closest else task.eps

    def prepared():
        attack = make()
        return lambda x, y: attack(victim, x, y, epsilons=eps)[0]

    return {"foolbox": prepared}


def of_art(task):
    from art.attacks import evasion
    from art.estimators.classification import PyTorchClassifier

    loss = nn.CrossEntropyLoss()
    victim = PyTorchClassifier(task.model, loss, task.shape, task.classes, clip_values=(0, 1), device_type="cpu")
    eps, norm, batch = task.eps, {"linf": np.inf, "l2": 2}[task.norm], task.args.batch
    quiet = {"batch_size": batch, "verbose": False}
    apgd = {"norm": norm, "eps": eps, "eps_step": 2 * eps, "max_iter": APGD_STEPS, "nb_random_init": 1, **quiet}
    pgd = {"norm": norm, "eps": eps, "eps_step": task.step, "max_iter": STEPS, **quiet}
    cw = {"binary_search_steps": SEARCHES, "max_iter": task.args.cw_steps, "learning_rate": 0.01, "initial_const": 1e-3}
    make = {
        "fgsm": lambda: evasion.FastGradientMethod(victim, norm=norm, eps=eps, batch_size=batch),
        "pgd": lambda: evasion.ProjectedGradientDescentPyTorch(victim, num_random_init=1, **pgd),
        "mim": lambda: evasion.MomentumIterativeMethod(victim, decay=1.0, **pgd),
        "apgd-ce": lambda: evasion.AutoProjectedGradientDescent(victim, loss_type="cross_entropy", **apgd),
        "apgd-dlr": lambda: evasion.AutoProjectedGradientDescent(victim, loss_type="difference_logits_ratio", **apgd),
        "square": lambda: evasion.SquareAttack(victim, norm=norm, eps=eps, max_iter=QUERIES, p_init=0.8, nb_restarts=1, **quiet),
        "cw": lambda: evasion.CarliniL2Method(victim, **cw, **quiet),
        "deepfool": lambda: evasion.DeepFool(victim, max_iter=DEEPFOOL_STEPS, epsilon=0.02, nb_grads=10, **quiet),
        "autoattack": lambda: evasion.AutoAttack(victim, norm=norm, eps=eps, eps_step=2 * eps, batch_size=batch),
    }.get(task.kind)
    if make is None:
        return {}

    def prepared():
        attack = make()
        return lambda x, y: torch.from_numpy(attack.generate(x.numpy(), y.numpy()))

    name = {"autoattack": "art, as shipped"}.get(task.kind, "art")
    return {name: prepared}


PEERS = {"pyautoattack": of_pyautoattack, "torchattacks": of_torchattacks, "foolbox": of_foolbox, "art": of_art}
