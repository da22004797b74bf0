"""Printing what `compare` found: of two sides, or of each part of two folders."""

from typing import TYPE_CHECKING, NamedTuple

from modelexport.cli.console import console, print_document, print_json
from modelexport.hierarchy.choices import ComparisonFormat

if TYPE_CHECKING:
    from modelexport.hierarchy.choices import PartRole
    from modelexport.rewriter import Comparison, ModelComparison

    AnyComparison = Comparison | ModelComparison
    Results = AnyComparison | dict[PartRole, Comparison] | dict[PartRole, ModelComparison]

VALUE_FORMATS = {ComparisonFormat.TREE, ComparisonFormat.TABLE, ComparisonFormat.CSV}
"""The formats that list values."""


def comparisons(results: "Results") -> "list[AnyComparison]":
    """The comparison of two sides; of two folders, those of all parts."""
    return list(results.values()) if isinstance(results, dict) else [results]


class ComparisonPrinter(NamedTuple):
    """Prints comparisons as the options say.

    Attributes:
        output_format: The format.
        every: Whether modules and values without a difference are shown, too.
        quiet: Whether nothing is said where nothing differs.
    """

    output_format: ComparisonFormat
    every: bool
    quiet: bool

    def print(self, results: "Results") -> None:
        """Print the comparison of two sides; of folders, that of each part with its title."""
        if not isinstance(results, dict):
            self._print_one(results)
        elif self.output_format is ComparisonFormat.JSON:
            print_json(results)
        elif self.output_format is ComparisonFormat.CSV:
            from modelexport.cli.render_values import write_value_csv  # noqa: PLC0415 - loads rich

            write_value_csv({str(role): compared for role, compared in results.items()})
        else:
            for role, compared in results.items():
                if not (compared.same and self.quiet):
                    print_document(f"# {role.words}")
                self._print_one(compared)

    def _print_one(self, result: "AnyComparison") -> None:
        from modelexport.cli import render_comparison, render_values  # noqa: PLC0415 - loads rich

        silent = result.same and self.quiet
        if self.output_format is ComparisonFormat.JSON:
            print_json(result)
        elif self.output_format is ComparisonFormat.CSV:
            render_values.write_value_csv({"": result})
        elif self.output_format in VALUE_FORMATS and not silent:
            for part in render_values.value_parts(result, self.output_format, every=self.every):
                console().print(part)
        elif self.output_format is ComparisonFormat.MARKDOWN:
            print_document(render_comparison.markdown(result, every=self.every))
        elif not silent:
            for part in render_comparison.text(result, every=self.every):
                console().print(part)
