"""Entry point of the Space and of `make demo`: build the page, serve it."""

from metatok.demo import LaunchError, build, launch

try:
    demo = build()  # a global of this name is what Gradio's reload mode looks for
    if __name__ == "__main__":
        launch(page=demo)
except LaunchError as error:
    raise SystemExit(str(error)) from None
