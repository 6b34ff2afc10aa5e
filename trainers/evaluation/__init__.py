"""Scores of a checkpoint: features of its samples against those of real pictures, and its flow against itself. May import lab and the rest of trainers.

    from trainers.evaluation import Options, evaluate
    result = evaluate(load_trained(run), Options(nfe=(1, 2, 4, 8), count=1000))
    print(table(result))

| module         | what it does                                                                                          |
|----------------|-------------------------------------------------------------------------------------------------------|
| scores         | the scores, as pure functions of features, with standard errors                                       |
| moments        | means and covariances in one pass, and published ones                                                 |
| references     | features of real pictures, computed once and kept in files                                            |
| flow_measures  | straightness, acceleration, transport cost, solver error and likelihood in latents                    |
| conditions     | what samples are told: classes by the training split's shares, captions of the split                  |
| options        | what was asked for (trainers.commands.evaluate), completed and checked                                |
| forecast       | about how long it takes                                                                               |
| real_pictures  | which splits are read, for which measures                                                             |
| samples        | samples of a row, in chunks                                                                           |
| protocol       | which rows there are, and everything that has to be stated about them                                 |
| report         | the table that people read                                                                            |
"""

from trainers.evaluation.options import MEASURES, Options
from trainers.evaluation.protocol import Evaluation, evaluate
from trainers.evaluation.report import table

__all__ = ["MEASURES", "Evaluation", "Options", "evaluate", "table"]
