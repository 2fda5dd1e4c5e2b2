"""The same film in kmcos (back end ``local_smart``): built with Fortran, run, timed. Writes one line of JSON.

Runs under kmcos' own interpreter, not ours: it needs numpy below 1.25, setuptools below 60 and gfortran.
``bench_kmc.py`` starts it with the interpreter that the variable KMCOS_PYTHON names; the way to make that interpreter
is in its docstring.
"""

import contextlib
import json
import math
import os
import random
import statistics
import sys
import tempfile
import time
from types import SimpleNamespace

BOLTZMANN_EV_K = 8.617333262e-5
DIRECTIONS = ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1))


def project():
    """Bromide, iodide and vacancy on a simple cubic lattice; a vacancy swaps with either halide in six directions."""
    from kmcos.types import Action, Condition, Project, Site

    model = Project()
    model.set_meta(author="Halidescope", email="none@example.org", model_name="halides", model_dimension=3)
    model.add_species(name="vacancy", color="#ffffff")
    model.add_species(name="bromide", color="#00ff00")
    model.add_species(name="iodide", color="#ff0000")
    model.species_list.default_species = "vacancy"
    layer = model.add_layer(name="film")
    layer.sites.append(Site(name="a", pos="0 0 0"))
    here = model.lattice.generate_coord("a.(0,0,0).film")
    for species in ("bromide", "iodide"):
        model.add_parameter(name=f"k_{species}", value=1.0)
        for number, offset in enumerate(DIRECTIONS):
            there = model.lattice.generate_coord("a.({},{},{}).film".format(*offset))
            model.add_process(
                name=f"{species}_{number}",
                conditions=[
                    Condition(species="vacancy", coord=here), Condition(species=species, coord=there),
                ],
                actions=[Action(species=species, coord=here), Action(species="vacancy", coord=there)],
                rate_constant=f"k_{species}",
            )
    return model


def build(folder):
    """Write the Fortran and compile it."""
    from kmcos.io import export_source
    from kmcos.utils import build as compile_fortran

    export_source(project(), folder, code_generator="local_smart")
    os.chdir(folder)
    compile_fortran(SimpleNamespace(fcompiler="gfortran", no_optimize=False, debug=False))


def run(size, steps, repeats, temperature_k):
    """Median of executed swaps per second of processor time."""
    from kmcos.run import KMC_Model

    model = KMC_Model(print_rates=False, banner=False, size=[size] * 3)
    model.parameters.k_bromide = 1e12 * math.exp(-0.21 / (BOLTZMANN_EV_K * temperature_k))
    model.parameters.k_iodide = 1e12 * math.exp(-0.10 / (BOLTZMANN_EV_K * temperature_k))
    sites = size**3
    iodides, vacancies = round(0.352 * sites), round(0.008 * sites)
    species = ["iodide"] * iodides + ["vacancy"] * vacancies + ["bromide"] * (sites - iodides - vacancies)
    random.seed(1)
    random.shuffle(species)
    code = {name: getattr(model.proclist, name) for name in ("vacancy", "bromide", "iodide")}
    places = ((x, y, z, 1) for x in range(size) for y in range(size) for z in range(size))
    for place, name in zip(places, species, strict=True):
        model._put(list(place), code[name])
    model._adjust_database()
    names = [f"{name}_{number}" for name in ("bromide", "iodide") for number in range(6)]
    numbers = [getattr(model.proclist, name) for name in names]

    def executed():
        return [int(model.base.get_procstat(number)) for number in numbers]

    model.do_steps(steps // 4)
    before, speeds = executed(), []
    for _ in range(repeats):
        start = time.process_time()
        model.do_steps(steps)
        speeds.append(steps / (time.process_time() - start))
    swaps = [later - earlier for later, earlier in zip(executed(), before, strict=True)]
    model.deallocate()
    return {
        "size": size, "swaps_per_s": statistics.median(speeds), "swaps": sum(swaps),
        "iodide_to_bromide": sum(swaps[6:]) / max(sum(swaps[:6]), 1), "steps": steps * repeats,
    }


def main():
    size, steps, repeats = (int(value) for value in sys.argv[1:4])
    sys.path.insert(0, "")
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.redirect_stdout(sys.stderr):
            build(folder)
            result = run(size, steps, repeats, 350.0)
        os.chdir("/")
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
