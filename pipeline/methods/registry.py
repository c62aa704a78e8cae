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
from pipeline.methods.psp import PSP
from pipeline.methods.psp_cpsp import PSP_CPSP
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
}
