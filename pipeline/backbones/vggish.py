"""VGGish: a vector (128,) per segment of sound, and the principal components that AudioSet's own features went through.

Source: Hershey et al., CNN Architectures for Large-Scale Audio Classification, ICASSP 2017.
"""

from pipeline.backbones.sources import Source

SUBJECT = "VGGish features"

VGGISH_SOURCES = {
    "torchvggish": Source(
        "vggish-10086976.pth",
        "https://github.com/harritaylor/torchvggish/releases/download/v0.1/vggish-10086976.pth",
        "sha256:10086976",
        "torch",
        "Apache-2.0 (torchvggish, AudioSet models)",
    ),
}

VGGISH_PCA_SOURCES = {
    "torchvggish": Source(
        "vggish_pca_params-970ea276.pth",
        "https://github.com/harritaylor/torchvggish/releases/download/v0.1/vggish_pca_params-970ea276.pth",
        "sha256:970ea276",
        "torch",
        "Apache-2.0 (torchvggish, AudioSet models)",
    ),
}
