"""A check-up of any checkpoint, whoever trained it: what its flow asks of a solver, measured against that flow's own exact ends. May import lab and the rest of trainers.

    from trainers.checkup import Asked, check_up, open_subject, table
    print(table(check_up(open_subject(Path("folder")), Asked(n=16))))

What comes from elsewhere is a diffusers folder (config.json, safetensors) with a conventions.json that says what its numbers mean; it is turned into the lab's
conventions at the border, once, and is then sampled and measured as our own runs, exports and checkpoints are.

| module      | what it does                                                                                     |
|-------------|--------------------------------------------------------------------------------------------------|
| conventions | conventions.json: direction, time scale, prediction, path, classes, autoencoder                   |
| bodies      | the network of a diffusers folder, loaded strictly, and how each class is called                  |
| foreign     | both together: velocity(x, t, condition) from prior to data, and the rest that sampling needs     |
| subjects    | a folder of any kind opened, and what its samples are told                                        |
| exact       | the adaptive flow from x_0, and how far off it is                                                 |
| instruments | the measurements                                                                                  |
| report      | the table that people read                                                                        |
| charts      | one curve or several as SVG                                                                       |
| page        | everything in one HTML file                                                                       |
"""

from trainers.checkup.conventions import Conventions
from trainers.checkup.foreign import Foreign, load_foreign
from trainers.checkup.instruments import Asked, Checkup, check_up
from trainers.checkup.page import page
from trainers.checkup.report import table
from trainers.checkup.subjects import open_subject

__all__ = ["Asked", "Checkup", "Conventions", "Foreign", "check_up", "load_foreign", "open_subject", "page", "table"]
