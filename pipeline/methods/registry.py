"""The methods by the name that ``train.method`` gives them."""

from pipeline.methods.ave_att import AVE_ATT
from pipeline.methods.ave_dmrn import AVE_DMRN
from pipeline.methods.avel import AVEL
from pipeline.methods.avsdn import AVSDN
from pipeline.methods.cacenet import CACENET
from pipeline.methods.cmbs import CMBS
from pipeline.methods.cmran import CMRAN
from pipeline.methods.contract import Method
from pipeline.methods.cpsp import CPSP
from pipeline.methods.han import HAN
from pipeline.methods.mmil_cpsp import MMIL_CPSP
from pipeline.methods.mmil_psp import MMIL_PSP
from pipeline.methods.psp import PSP
from pipeline.methods.psp_cpsp import PSP_CPSP
from pipeline.methods.settings import Task
from pipeline.methods.sspsp import SSPSP

METHODS: dict[str, Method] = {
    "ave_att": AVE_ATT,
    "ave_dmrn": AVE_DMRN,
    "avel": AVEL,
    "avsdn": AVSDN,
    "cmran": CMRAN,
    "psp": PSP,
    "psp_cpsp": PSP_CPSP,
    "cpsp": CPSP,
    "sspsp": SSPSP,
    "cmbs": CMBS,
    "cacenet": CACENET,
    "han": HAN,
    "mmil_psp": MMIL_PSP,
    "mmil_cpsp": MMIL_CPSP,
}


def methods_of(task: Task) -> dict[str, Method]:
    """Return the methods of a task by name, in the registry's order."""
    return {name: method for name, method in METHODS.items() if method.task == task}
