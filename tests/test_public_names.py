"""The names that lessons, the README and other projects rely on, used as they are written there. Each instrument is reached from a bare `import lab`."""

import subprocess
import sys

from tests.faults import ROOT

PROGRAM = """
import torch
import lab, toy

g = torch.Generator().manual_seed(0)
x_0, x_1 = (torch.randn(16, 2, dtype=torch.float64, generator=g) for _ in range(2))
t, classes = torch.rand(16, dtype=torch.float64, generator=g), torch.arange(16) % 2
path = lab.paths.CondOT()
s = path.sample(x_0=x_0, x_1=x_1, t=t)
s.x_t, s.dx_t, s.t
path.alpha(t), path.sigma(t), path.d_alpha(t), path.d_sigma(t)

def velocity(x, t, condition=None):
    return -x

tr = lab.solvers.solve(velocity, x_0, method="heun", nfe=8, grid="uniform", condition=None)
assert tr.x.shape == (5, 16, 2) and tr.t.shape == (5,) and tr.nfe == 8
tr = lab.solvers.solve(velocity, x_0, method="dopri5", atol=1e-5, rtol=1e-5)
for coupling in (lab.couplings.Independent(), lab.couplings.BatchOT(), lab.couplings.PerClassOT(), lab.couplings.ConditionalOT(), lab.couplings.Sinkhorn()):
    pairs = coupling(x_0, x_1, condition=classes, generator=g)
    assert torch.equal(pairs.x_0, x_0[pairs.index]) and torch.equal(pairs.x_1, x_1) and torch.equal(pairs.condition, classes)
pairs = lab.couplings.Semidiscrete.fit(x_1, generator=g, steps=10, batch=8)(x_0)
assert torch.equal(pairs.x_0, x_0[pairs.index])
lab.priors.Gaussian, lab.priors.ClassGaussian, lab.priors.ClassMixture, lab.priors.TextGaussian
lab.assignment.AssignmentTable, lab.losses.regression_losses, lab.likelihood.log_likelihood, lab.guidance.Guided, lab.conversions.convert, lab.measures.measure

m = toy.mixtures.Mixture([0.5, 0.5], [[0, 0], [1, 1]], [[[1, 0], [0, 1]]] * 2, classes=[0, 1])
f = toy.field.MixtureField(m, m, plan=None, cross=None, path=path)
f.velocity(x_0, t, condition=classes), f.score(x_0, t), f.log_prob(x_0, 0.5)
tr = toy.trace.trace(toy.scene.Scene(count=50))
assert tr.nfe == 4
toy.learning.Learner, toy.learning.LearningOptions, toy.learning.train, toy.learning.on_grid, toy.learning.report.report
print("done")
"""


def test_the_public_names_are_there_from_a_bare_import():
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "done\n", done.stderr
