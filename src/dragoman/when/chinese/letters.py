"""Chinese letters for reading: one form for full-width, traditional and simplified ones, and the numerals."""

import re
import unicodedata
from typing import Final

# fmt: off
_TRADITIONAL = (
    "點时時鐘鍾後週禮號個兩過開間鬧鈴請幫設記別內這節還麼會議訂夠麻煩勞託們為從來歲倆餘數幾單雙農曆舊臘陰總結說說題"
    "問見內容該準連續計劃創建無須須給寫喚喊聲嗎謝呢吧啦東西兒將傍淩淸業閒離誤遲約對讓電話發報樣應當於與錄標線樓門車"
    "廳館廠庫倉櫃選員員機臺頭關飯覺級課屆務調萬聖誕慶勞動婦兒師聽晝尋"
)
_SIMPLIFIED = (
    "点时时钟钟后周礼号个两过开间闹铃请帮设记别内这节还么会议订够麻烦劳托们为从来岁俩余数几单双农历旧腊阴总结说说题"
    "问见内容该准连续计划创建无须须给写唤喊声吗谢呢吧啦东西儿将傍凌清业闲离误迟约对让电话发报样应当于与录标线楼门车"
    "厅馆厂库仓柜选员员机台头关饭觉级课届务调万圣诞庆劳动妇儿师听昼寻"
)
# fmt: on
SIMPLER: Final = dict(zip(_TRADITIONAL, _SIMPLIFIED, strict=True)) | {
    "　": " ",
    "裡": "里",
    "裏": "里",
    "—": "-",
    "\N{EN DASH}": "-",
}
DIGITS: Final = {
    letter: value for value, letters in enumerate(["零〇", "一", "二两", *"三四五六七八九"]) for letter in letters
}
SIZES: Final = {"千": 1000, "百": 100, "十": 10}
TENS: Final = {"廿": 20, "卅": 30}
_ONE: Final = "[一二两三四五六七八九]"
_COUNTED: Final = re.compile(
    f"(?P<千>{_ONE}千)?(?:零?(?P<百>{_ONE}百))?(?P<zero>[零〇])?(?:(?P<十>{_ONE}?十)|(?P<tens>[廿卅]))?(?P<last>{_ONE})?"
)
NUMERALS: Final = "".join([*DIGITS, *SIZES, *TENS, "俩"])
NUMBER: Final = rf"(?:[0-9]{{1,4}}|[{NUMERALS}]{{1,8}})"


def fold(text: str) -> str:
    """Return the text in its plainest letters, each in its place: the result is exactly as long."""
    return "".join(map(_fold, text))


def _fold(letter: str) -> str:
    plain = unicodedata.normalize("NFKC", letter).lower()
    if len(plain) != 1:
        plain = letter
    return " " if plain.isspace() else SIMPLER.get(plain, plain)


def number(text: str) -> int | None:
    """Read a numeral in digits or in Chinese; None where the letters make no number ("两三" is a guess, not one)."""
    if text.isascii():
        return int(text) if text.isdigit() else None
    if text == "俩":
        return 2
    if len(text) > 1 and all(letter in DIGITS for letter in text):
        return _spelled(text)
    return _counted(text)


def _spelled(text: str) -> int | None:
    """Read digit by digit: years, and "零五"."""
    if len(text) == 4 or (text[0] in "零〇" and len(text) == 2):
        return int("".join(str(DIGITS[letter]) for letter in text))
    return None


def _counted(text: str) -> int | None:
    """Read "一千二百零五": the sizes fall, and a last digit counts in the next smaller size ("两百五" is 250)."""
    found = _COUNTED.fullmatch(text)
    if found is None or not text:
        return None
    total = sum(_times(found[size], size) for size in SIZES) + TENS.get(found["tens"] or "", 0)
    last = DIGITS[found["last"]] if found["last"] else 0
    if found["zero"] or found["tens"] or found["十"]:
        return total + last
    return total + last * (100 if found["千"] and not found["百"] else 10 if found["百"] else 1)


def _times(text: str | None, size: str) -> int:
    if not text:
        return 0
    return SIZES[size] * (DIGITS.get(text[0], 1))
