"""What pyproject.toml cannot say: the files of experiments/ go into the installed package, beside its modules."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithExperiments(build_py):
    """Copies ``experiments/*.yaml`` to ``ib_analysis/experiments``, where an installed package looks for them."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:  # a checkout has them where they are
            for source, target in self._experiments():
                Path(target).parent.mkdir(parents=True, exist_ok=True)
                self.copy_file(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [*super().get_outputs(include_bytecode), *(target for _, target in self._experiments())]

    def _experiments(self) -> list[tuple[str, str]]:
        folder = Path(self.build_lib, "ib_analysis", "experiments")
        return [(str(path), str(folder / path.name)) for path in sorted(Path("experiments").glob("*.yaml"))]


setup(cmdclass={"build_py": WithExperiments})
