"""What each row is trained with: validated for all rows at once, before anything is trained.

DVC trains a row again when the row's file changes: not when another method's setting did, not when a comment in the
code did. It also keeps the list of what a training depends on short; with every module and setting in each of 150
items, DVC itself would take half an hour.
"""

from functools import cache

from pipeline.core.errors import ParamsError
from pipeline.core.fingerprints import source_fingerprint
from pipeline.methods.registry import METHODS
from pipeline.params.schema import Params
from pipeline.tables.definitions import Definitions, resolve_row, select_rows, values_of
from pipeline.tables.plans import Plan


def plan_rows(params: Params, definitions: Definitions) -> dict[str, Plan]:
    """Return the plans of the selected rows, and of every row of a method.

    Raises
    ------
    ParamsError
        If a row does not exist; or naming all faulty rows.
    """
    plans, faults = {}, []
    fingerprint = cache(source_fingerprint)
    for name in dict.fromkeys([*definitions.methods, *select_rows(definitions, params.tables)]):
        try:
            row = definitions.rows[name]
            resolved = resolve_row(params, name, row, params.tables.num_epochs)
            modules = METHODS[row.method].modules(row.supervision)
            plans[name] = Plan(name, values_of(resolved), fingerprint("pipeline.tables.running", *modules))
        except ParamsError as error:
            faults.append(str(error))
    if faults:
        raise ParamsError("; ".join(faults))
    return plans
