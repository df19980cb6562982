"""Public sets of images: what they are, what their licences permit, where they live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.errors import UserError, nearest

Layout = Literal["images", "smartdoc15", "midv500", "midv2020"]


@dataclass(frozen=True)
class RemoteFile:
    """One archive of a set.

    Args:
        path: what follows the set's address.
        name: of the downloaded file.
        size: bytes; None, as for the digest, where the publisher's value is not known here.
    """

    path: str
    name: str
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class PublicSet:
    """A set of images that anyone may fetch.

    Args:
        base: the address that the paths of the files follow; a mirror takes its place.
        size: about how many bytes are downloaded; None where it is not known here.
        use: the option that takes the set.
        layout: how its archives are laid out.
        inside: the folder of the archive that holds the images, for the layout "images".
        every: of the frames of one clip, take each n-th by default. Neighbouring frames are near copies:
            they cost time, add nothing, and make the captures look more alike than separate ones are.
        fold_case: refuse archives with names that differ in case only.
    """

    name: str
    title: str
    licence: str
    permits: str
    homepage: str
    base: str
    files: tuple[RemoteFile, ...]
    size: int | None
    use: Literal["--data", "--eval"]
    layout: Layout
    inside: str = ""
    every: int = 1
    fold_case: bool = True

    def url(self, file: RemoteFile, mirror: str | None = None) -> str:
        return f"{(mirror or self.base).rstrip('/')}/{file.path}"

    def step(self, every: int | None) -> int:
        """Which frames of a clip are taken, each n-th; `UserError` for a choice of them where there are no clips."""
        if every is not None and self.layout == "images":
            raise UserError(f"--every is of sets of videos, and {self.name} is one of images: leave it out")
        return every or self.every


_MIDV500 = (
    "01_alb_id", "02_aut_drvlic_new", "03_aut_id_old", "04_aut_id", "05_aze_passport", "06_bra_passport", "07_chl_id",
    "08_chn_homereturn", "09_chn_id", "10_cze_id", "11_cze_passport", "12_deu_drvlic_new", "13_deu_drvlic_old",
    "14_deu_id_new", "15_deu_id_old", "16_deu_passport_new", "17_deu_passport_old", "18_dza_passport",
    "19_esp_drvlic", "20_esp_id_new", "21_esp_id_old", "22_est_id", "23_fin_drvlic", "24_fin_id", "25_grc_passport",
    "26_hrv_drvlic", "27_hrv_passport", "28_hun_passport", "29_irn_drvlic", "30_ita_drvlic", "31_jpn_drvlic",
    "32_lva_passport", "33_mac_id", "34_mda_passport", "35_nor_drvlic", "36_pol_drvlic", "37_prt_id", "38_rou_drvlic",
    "39_rus_internalpassport", "40_srb_id", "41_srb_passport", "42_svk_id", "43_tur_id", "44_ukr_id",
    "45_ukr_passport", "46_ury_passport", "47_usa_bordercrossing", "48_usa_passportcard", "49_usa_ssn82", "50_xpo_id",
)  # fmt: skip

_SETS = (
    PublicSet(
        name="unique-pool",
        title="UniquePool of DocClassifier: about 600 cards and documents, one image each",
        licence="Apache-2.0 (the repository's)",
        permits="use, change and redistribution with the notice; the images were collected from the web, and the "
        "repository does not say who owns each",
        homepage="https://github.com/DocsaidLab/DocClassifier",
        base="https://github.com/DocsaidLab/DocClassifier/archive",
        files=(RemoteFile("16e0d9a.tar.gz", "DocClassifier-16e0d9a.tar.gz"),),
        size=None,
        use="--data",
        layout="images",
        inside="*/data/unique_pool",
    ),
    PublicSet(
        name="indoor67",
        title="MIT Indoor Scenes: 15,620 photographs of 67 kinds of rooms",
        licence="research only",
        permits="research; the photographs belong to those who took them",
        homepage="https://web.mit.edu/torralba/www/indoor.html",
        base="http://groups.csail.mit.edu/vision/LabelMe/NewImages",
        files=(RemoteFile("indoorCVPR_09.tar", "indoorCVPR_09.tar"),),
        size=2_400_000_000,
        use="--data",
        layout="images",
        inside="Images",
        fold_case=False,  # collected from many cameras; nobody promises that no two names differ in case only
    ),
    PublicSet(
        name="smartdoc15",
        title="SmartDoc 2015, challenge 1: 30 printed pages filmed over 5 backgrounds, 24,889 frames",
        licence="CC BY 4.0",
        permits="use and redistribution, also commercial, with attribution to its authors",
        homepage="https://github.com/jchazalon/smartdoc15-ch1-dataset",
        base="https://github.com/jchazalon/smartdoc15-ch1-dataset/releases/download/v2.0.0",
        files=(
            RemoteFile(
                "frames.tar.gz",
                "frames.tar.gz",
                1_019_404_933,
                "3acb8be143fc86c507d90d298097cba762e91a3abf7e2d35ccd5303e13a79eae",  # the release's sha256.chksum
            ),
        ),
        size=1_019_404_933,
        use="--eval",
        layout="smartdoc15",
        every=10,
    ),
    PublicSet(
        name="midv500",
        title="MIDV-500: 50 kinds of identity documents, 10 clips of 30 frames each",
        licence="sources in the public domain or under Creative Commons, see the attribution in each archive",
        permits="what the licence of each document's source permits; cite Arlazarov et al. 2019",
        homepage="ftp://smartengines.com/midv-500",
        base="ftp://smartengines.com/midv-500/dataset",
        files=tuple(RemoteFile(f"{name}.zip", f"{name}.zip") for name in _MIDV500),
        size=None,
        use="--eval",
        layout="midv500",
        every=10,
    ),
    PublicSet(
        name="midv2020",
        title="MIDV-2020, photos and scans: 10 kinds of mock identity documents, 100 of each",
        licence="research use, see license.txt at its address",
        permits="research; cite Bulatov et al. 2021",
        homepage="ftp://smartengines.com/midv-2020",
        base="ftp://smartengines.com/midv-2020/dataset",
        files=tuple(RemoteFile(f"{name}.tar", f"{name}.tar") for name in ("photo", "scan_upright", "scan_rotated")),
        size=5_000_000_000,
        use="--eval",
        layout="midv2020",
    ),
)


def public_sets() -> dict[str, PublicSet]:
    """The known sets by name, the smallest first."""
    return {known.name: known for known in _SETS}


def public_set(name: str) -> PublicSet:
    """The set of that name; `UserError` names the nearest one."""
    known = public_sets()
    if name not in known:
        raise UserError(f"unknown set '{name}'{nearest(name, known)}")
    return known[name]
