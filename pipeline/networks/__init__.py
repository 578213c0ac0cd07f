"""U-shaped networks, one file a paper."""

from .fcn import FCN as FCN
from .multiresunet import MultiResUNet as MultiResUNet
from .no_new_net import NoNewNet as NoNewNet
from .resnet_vae import Autoencoded as Autoencoded
from .resnet_vae import ResNetVAE as ResNetVAE
from .resunetplusplus import ResUNetPlusPlus as ResUNetPlusPlus
from .u2net import U2Net as U2Net
from .unet import UNet as UNet
from .unet3d import UNet3D as UNet3D
from .unet3plus import Guided as Guided
from .unet3plus import UNet3Plus as UNet3Plus
from .unetplusplus import UNetPlusPlus as UNetPlusPlus
from .vnet import VNet as VNet
