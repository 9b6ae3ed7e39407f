"""What is where on the page."""

from collections.abc import Callable
from pathlib import Path

import gradio as gr

from webapp import palette
from webapp.handling import STRONGEST
from webapp.limits import Limits
from webapp.panels import Panel
from webapp.visit import Visit
from webapp.visit_files import LIFETIME

FOLDER = Path(__file__).with_name("examples")  # webapp/examples/README.md says where they are from
EXAMPLES = (  # files, and captions
    ("coffee.jpg", "a white cup of coffee on a brown table"),
    ("astronaut.jpg", "a smiling woman in an orange space suit beside a red flag"),
    ("camera.jpg", "a man in a brown coat on green grass under a blue sky"),
    ("scene_leaf_and_hat.png", "in front of a green wall there is a striped turquoise leaf and a striped brown hat"),
    (
        "scene_five_things.png",
        "a checkered orange hat, a blue box, a plain purple ball, a striped green cone and a turquoise cup,"
        " on a brown floor",
    ),
)
MOST_VARIANTS = 6
TITLE = "Colour a photograph by a sentence"
TITLE_WITHOUT_WORDS = "Colour a photograph"


class Layout:
    """The components, of which `blocks` is made."""

    def __init__(
        self,
        examples: Path,
        limits: Limits,
        about: str,
        reads_words: bool,
        draws: bool,
        panel: Panel,
        ended: Callable[[Visit | None], None],
    ) -> None:
        """examples: served copies of `EXAMPLES`; about: a line on the network, for the visitor; reads_words: it reads
        captions; draws: it paints other pictures from other seeds; ended: is told of a visitor who has left. It is a
        function, and no method: Gradio copies the page's settings deeply for everyone who opens it, and with a method
        the visits, the network and all."""
        self.reads_words, self.draws, self.panel = reads_words, draws, panel
        title = TITLE if reads_words else TITLE_WITHOUT_WORDS
        with gr.Blocks(title=title, analytics_enabled=False) as self.blocks:
            self.visit = gr.State(time_to_live=LIFETIME, delete_callback=ended)
            gr.Markdown(f"# {title}\n{about}")
            with gr.Row():
                with gr.Column(scale=2, min_width=300):
                    self._lay_out_input(examples, limits)
                with gr.Column(scale=3, min_width=300):
                    self._lay_out_result()
            with gr.Row():
                panel.lay_out()

    def _lay_out_input(self, examples: Path, limits: Limits) -> None:
        limit = f"at most {limits.megapixels:g} megapixels and {limits.megabytes:g} MB"
        self.file = gr.File(label=f"Photograph, {limit}", height=120, elem_id="photograph")
        pictures = [[str(examples / file)] for file, _ in EXAMPLES]
        shown = {"components": [gr.Image(render=False, label="Example")], "samples": pictures, "type": "index"}
        self.examples = gr.Dataset(label="Or take an example", elem_id="examples", **shown)
        title, hint = "Caption: what has which colour", "a red balloon above a green house"
        read = {"visible": self.reads_words, "elem_id": "caption"}
        self.caption = gr.Textbox(label=title, placeholder=hint, max_lines=6, **read)
        self.button = gr.Button("Colour it", variant="primary", elem_id="colour")
        self.strength = gr.Slider(0, STRONGEST, 1, step=0.05, label="Strength of the colours", elem_id="strength")
        drawn = {"visible": self.draws, "elem_id": "variants"}
        self.variants = gr.Slider(1, MOST_VARIANTS, 1, step=1, label="Variants of the colours", **drawn)

    def _lay_out_result(self) -> None:
        shown = {"type": "filepath", "interactive": False, "buttons": ["fullscreen"]}
        self.slider = gr.ImageSlider(label="Gray and in colour", slider_position=25, elem_id="result", **shown)
        self.notes = gr.HTML(elem_id="notes")
        with gr.Column(visible=False, elem_id="drawn") as self.drawn:
            pictures = {"columns": 3, "height": "auto", "interactive": False, "buttons": ["fullscreen"]}
            self.gallery = gr.Gallery(label="Variants", elem_id="gallery", **pictures)
            self.seed = gr.Radio([], label="Go on with the variant of seed", elem_id="seed")
        with gr.Column(visible=False, elem_id="palette") as self.palette:
            self.word = gr.Radio([], label="Change the colour of", elem_id="word")
            with gr.Row():
                self.swatches = [gr.Button(color, elem_classes=["swatch", color]) for color in palette.SWATCHES]
        self.download = gr.Button("Download at full size", interactive=False, elem_id="download")
        self.ready = gr.DownloadButton(visible="hidden", elem_id="ready")
