"""The table of commands, the parser that is made from it, completion, and how a command ends."""

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, Final, NamedTuple

#: How a command can end, and what that means: see the page on the command.
DONE, FAILED, USAGE, NOT_FOUND, CONFLICT, REFUSED, NETWORK, DISK, DATABASE, INTERRUPTED = (*range(9), 130)

#: For each kind of error, how a command ends by it: the first that it is one of decides.
_ENDS: Final = (
    ("BlobNotFoundException", DISK),
    ("NotFoundException", NOT_FOUND),
    ("AlreadyExistsException", CONFLICT),
    ("ConflictException", CONFLICT),
    ("FileConflictException", CONFLICT),
    ("PolicyViolationException", REFUSED),
    ("NothingFitsException", REFUSED),
    ("ModelTooLargeException", REFUSED),
    ("VersionFailedException", REFUSED),
    ("InvalidInputException", USAGE),
    ("ConfigurationException", USAGE),
    ("UnknownVariantException", USAGE),
    ("DatabaseException", DATABASE),
    ("StorageException", DISK),
    ("DownloadDiskException", DISK),
    ("HubException", NETWORK),
    ("DownloadException", NETWORK),
    ("RegistryTimeoutException", NETWORK),
)


class Argument(NamedTuple):
    """An argument of a command, as `argparse` takes it."""

    flags: tuple[str, ...]
    options: dict[str, Any]  # Any: what argparse takes


class Command(NamedTuple):
    """A command.

    Attributes:
        name: What is typed.
        help: One line.
        arguments: What it takes, besides what all take.
        function: The module in this package and the function in it, which returns what is shown.
        aliases: Other names.
    """

    name: str
    help: str
    arguments: tuple[Argument, ...]
    function: str
    aliases: tuple[str, ...] = ()


def _argument(*flags: str, **options: Any) -> Argument:  # Any: as above
    return Argument(flags, options)


_SOURCE: Final = _argument(
    "source", help="hf://org/name, https://…, s3://…, ollama://name, a file, a directory, or a reference"
)
_REFERENCE: Final = _argument("reference", help="name, name:3 or name@production")
_PATTERNS: Final = (
    _argument("--allow", action="append", metavar="PATTERN", help="only files like this; may be given again"),
    _argument("--ignore", action="append", metavar="PATTERN", help="no files like this; may be given again"),
)
_VARIANT: Final = _argument("--variant", help="only this variant, such as Q4_K_M")
_NAMES: Final = (
    _argument("--name", help="the model's name; default: what the source suggests"),
    _argument("--version", help="a label for a new version; default: its number"),
    _argument("--alias", help="let this alias lead to it"),
)
_FITS: Final = (
    _argument("--fits", metavar="SIZE", help="choose the largest variant that fits, such as '8 GiB'"),
    _argument("--context-length", type=int, metavar="TOKENS", help="what memory is estimated for"),
)
_POLICY: Final = _argument(
    "--policy", metavar="FILE", help='what it must be like, as JSON: {"licenses": ["mit"], "worst_pickle": "safe"}'
)
_FORCE: Final = _argument("--force", action="store_true", help="register it as ready, whatever is against it")
_YES: Final = _argument("--yes", action="store_true", help="do it; without, it is only shown")
_TIMEOUT: Final = _argument("--timeout", type=float, metavar="SECONDS", help="give the transfer up after so long")
_WHERE: Final = _argument("--where", metavar="JSON", help='a filter: {"field": "size", "op": "lt", "value": 1000}')
_READ: Final = _argument("--read", action="store_true", help="read and hash every byte")
_ALSO: Final = _argument(
    "--also",
    action="append",
    default=[],
    metavar="URL",
    help="another registry that uses the store; may be given again",
)
_LIMIT: Final = _argument("--limit", type=int, default=100, help="how many at most; default: 100")

#: Every command. One more is a line here, and a function in a module of this package.
COMMANDS: Final = (
    Command("setup", "create or upgrade the registry's tables", (), "commands:setup"),
    Command(
        "pull",
        "fetch a model, verify it and register it",
        (
            _SOURCE,
            *_NAMES,
            *_FITS,
            _VARIANT,
            *_PATTERNS,
            _POLICY,
            _argument("--sha256", help="the digest that the only file must have"),
            _TIMEOUT,
            _FORCE,
        ),
        "commands:pull",
    ),
    Command(
        "register",
        "register a model of your own",
        (
            _argument("path", help="a file or a directory"),
            *_NAMES,
            _argument("--tag", action="append", default=[], metavar="KEY=VALUE", help="a tag; may be given again"),
            _POLICY,
            _FORCE,
        ),
        "commands:register",
    ),
    Command(
        "adopt",
        "register what another tool on this machine has, without a network",
        (
            _argument("source", help="hf://org/name, ollama://name or lmstudio://publisher/name"),
            *_NAMES,
            _VARIANT,
            *_PATTERNS,
            _argument("--cache", metavar="DIRECTORY", help="where that tool's cache lies"),
            _POLICY,
            _FORCE,
        ),
        "commands:adopt",
    ),
    Command(
        "plan",
        "tell what pulling would come to, and what fits",
        (
            _SOURCE,
            *_FITS,
            _VARIANT,
            *_PATTERNS,
            _POLICY,
        ),
        "commands:plan",
    ),
    Command(
        "search",
        "ask a hub which models it has",
        (
            _argument("query", nargs="?", help="words of the name"),
            _argument("--task", help="such as text-generation"),
            _argument("--author", help="the organisation or user"),
            _argument("--sort", help="created_at, downloads, last_modified, likes or trending_score"),
            _argument("--hub", metavar="URL", help="the hub's address"),
            _argument("--limit", type=int, default=20, help="how many at most; default: 20"),
        ),
        "commands:search",
    ),
    Command(
        "mirror",
        "bring many models into the store, and register none",
        (
            _argument("sources", nargs="*", help="as pull takes each"),
            _argument("--search", metavar="WORDS", help="what a hub finds by words of the name, too"),
            _argument("--author", help="all of this organisation's or user's, too"),
            _argument("--limit", type=int, default=20, help="how many that a hub finds, at most; default: 20"),
            _argument("--at-once", type=int, default=4, help="how many are under way at once; default: 4"),
            _VARIANT,
            *_PATTERNS,
            _TIMEOUT,
        ),
        "commands:mirror",
    ),
    Command(
        "find",
        "find models in the registry",
        (
            _argument("text", nargs="?", help="words of names, descriptions, cards and tags"),
            _WHERE,
            _LIMIT,
        ),
        "commands:find",
    ),
    Command(
        "list",
        "list the models, or the versions of one",
        (_argument("name", nargs="?", help="the model"), _LIMIT),
        "commands:list_models",
        ("ls",),
    ),
    Command("show", "show a model, or a version with its files", (_REFERENCE,), "commands:show"),
    Command(
        "diff",
        "tell what is different between two versions",
        (_argument("before", help="such as name:1"), _argument("after", help="such as name:2")),
        "commands:diff",
    ),
    Command(
        "tag",
        "set tags of a version, or take them away",
        (
            _REFERENCE,
            _argument("tags", nargs="*", metavar="KEY=VALUE", help="a tag to set"),
            _argument("--remove", action="append", default=[], metavar="KEY", help="a tag to take away; needs --yes"),
            _YES,
        ),
        "commands:tag",
    ),
    Command(
        "alias",
        "let an alias lead to a version, roll it back, or take it away",
        (
            _argument("reference", help="the version; with --rollback or --remove: name@alias"),
            _argument("alias", nargs="?", help="such as production"),
            _argument("--rollback", action="store_true", help="let it lead to where it led before"),
            _argument("--remove", action="store_true", help="take the alias away; needs --yes"),
            _YES,
        ),
        "commands:alias",
    ),
    Command(
        "rm",
        "delete a version for good, or a model so that it can be restored",
        (_argument("reference", help="name:3 for a version, name for a model"), _YES),
        "commands:remove",
    ),
    Command(
        "materialize",
        "lay a version out, and print where",
        (
            _REFERENCE,
            _argument("directory", nargs="?", help="default: a read-only view in the store"),
            _argument(
                "--layout",
                choices=("plain", "huggingface", "ollama", "lm-studio"),
                default="plain",
                help="as which program keeps models; default: plain",
            ),
            _argument("--writable", action="store_true", help="files that may be edited"),
            _argument("--force", action="store_true", help="although it has failed"),
            _TIMEOUT,
        ),
        "commands:materialize",
    ),
    Command(
        "inspect",
        "tell what files say about themselves, without loading them",
        (_argument("path", help="a file, a directory, or a reference"),),
        "commands:inspect",
    ),
    Command(
        "events",
        "show what happened, latest first",
        (_argument("name", nargs="?", help="the model; default: all"), _LIMIT),
        "commands:events",
    ),
    Command(
        "export",
        "write what is known of models to a file, for another registry",
        (
            _argument("file", help="where to"),
            _WHERE,
            _argument("--deleted", action="store_true", help="deleted models too, as for a back-up"),
        ),
        "commands:export_models",
    ),
    Command(
        "import",
        "read such a file into this registry, all of it or nothing",
        (
            _argument("file", help="what export has written"),
            _argument(
                "--on-conflict",
                choices=("raise", "skip", "update"),
                default="raise",
                help="what is done with models that are here",
            ),
        ),
        "commands:import_models",
    ),
    Command("du", "tell what the store holds and takes", (), "commands:du"),
    Command(
        "verify",
        "compare the store with its registries: what is missing, damaged or not referred to",
        (_READ, _ALSO),
        "commands:verify",
    ),
    Command("repair", "bring again what is missing or damaged", (_READ, _ALSO, _YES), "commands:repair"),
    Command(
        "prune",
        "remove files from the store that no registry refers to",
        (
            _argument("--unused-for", type=float, default=1.0, metavar="DAYS", help="not used for so long; default: 1"),
            _ALSO,
            _YES,
        ),
        "commands:prune",
    ),
    Command(
        "doctor",
        "say what is wrong with database, store, credentials and versions, and the way out",
        (_argument("--online", action="store_true", help="ask the hub, too"),),
        "doctor:doctor",
    ),
    Command(
        "completion",
        "print a script that completes commands",
        (_argument("shell", choices=("bash", "zsh", "fish")),),
        "parser:completion",
    ),
)
#: What every command takes.
_COMMON: Final = (
    _argument("--json", action="store_true", help="print JSON"),
    _argument("--database", metavar="URL", help="default: MODEL_SERVICE_DATABASE_URL, which keeps a password unseen"),
    _argument("--store", metavar="DIRECTORY", help="default: STORAGE_SERVICE_ROOT"),
    _argument("--namespace", default="default", help="default: default"),
    _argument("--actor", help="who is at work, for the history"),
)
_ENDING: Final = (
    "Ends with 0 done, 1 failed, 2 wrong input, 3 not found, 4 in the way or --yes is missing, 5 refused, "
    "6 hub or network, 7 store or disk, 8 database, 130 interrupted."
)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the table."""
    parser = argparse.ArgumentParser(
        prog="kamiwaza", description="A model registry and verified model store.", epilog=_ENDING
    )
    parser.add_argument("--version", action="store_true", dest="shows_version", help="print the version of the library")
    chosen = parser.add_subparsers(dest="command", metavar="COMMAND")
    for command in COMMANDS:
        one = chosen.add_parser(
            command.name, aliases=command.aliases, help=command.help, description=_sentence(command.help)
        )
        for argument in (*command.arguments, *_COMMON):
            one.add_argument(*argument.flags, **argument.options)
        one.set_defaults(function=command.function)
    return parser


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return how it ended: see `_ENDING`."""
    parser = make_parser()
    given = parser.parse_args(arguments)
    if given.shows_version:
        from importlib.metadata import version

        print(version("kamiwaza-sdk"))
        return DONE
    if given.command is None:
        parser.print_help(sys.stderr)
        return USAGE
    try:
        return _run(given)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # as by `head`: nobody reads on
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - what is left is flushed at exit
        return DONE


def _run(given: argparse.Namespace) -> int:
    from kamiwaza_sdk import ServiceException

    module, _, function = given.function.partition(":")
    try:
        return int(getattr(import_module(f"kamiwaza_sdk.cli.{module}"), function)(given))
    except ServiceException as error:
        end = _end_of(error)
        _report(error, end, given)
        return end


def _end_of(error: Exception) -> int:
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return next((end for kind, end in _ENDS if kind in kinds), FAILED)


def _report(error: Exception, end: int, given: argparse.Namespace) -> None:
    """Say on the standard error what went wrong."""
    message = _as_options(str(error), vars(given))
    if given.json:
        print(json.dumps({"error": type(error).__name__, "message": message, "exit_code": end}), file=sys.stderr)
    else:
        print(f"{_coloured('error:')} {message}", file=sys.stderr)


def _as_options(message: str, options: Mapping[str, object]) -> str:
    """Return a message of the library's with arguments of calls as options of the command, where it has them."""

    def option(found: re.Match[str]) -> str:
        name = found["name"]
        if name not in options:
            return found[0]
        return f"--{name.replace('_', '-')}" + ("" if found["value"] else " ")

    message = re.sub(r"\w+\((?:…, )?(force=True)\)", r"\1", message)
    return re.sub(r"(?<![?&\w])(?P<name>[a-z_]+)=(?P<value>True\b)?", option, message)


def _coloured(text: str) -> str:
    """Return a text in red, for a terminal of somebody who has nothing against it (https://no-color.org)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not sys.stderr.isatty()
    return text if plain else f"\033[31m{text}\033[0m"


def completion(given: argparse.Namespace) -> int:
    """Print the script of a shell."""
    print("\n".join({"bash": _bash, "zsh": _zsh, "fish": _fish}[given.shell]()))
    return DONE


def _names() -> list[str]:
    return sorted(name for command in COMMANDS for name in (command.name, *command.aliases))


def _options(command: Command) -> Iterator[tuple[str, str]]:
    for argument in (*command.arguments, *_COMMON):
        if argument.flags[0].startswith("--"):
            yield argument.flags[0], argument.options.get("help", "")


def _words(command: Command) -> str:
    choices = [word for argument in command.arguments for word in argument.options.get("choices", ())]
    return " ".join([*choices, *(flag for flag, _ in _options(command)), "--help"])


def _bash() -> Iterator[str]:
    yield "_kamiwaza() {"
    yield '    local current="${COMP_WORDS[COMP_CWORD]}" words'
    yield '    case "${COMP_CWORD}:${COMP_WORDS[1]}" in'
    yield f'        1:*) words="{" ".join(_names())} --help --version" ;;'
    for command in COMMANDS:
        patterns = "|".join(f"*:{name}" for name in (command.name, *command.aliases))
        yield f'        {patterns}) words="{_words(command)}" ;;'
    yield "    esac"
    yield '    COMPREPLY=($(compgen -W "$words" -- "$current"))'
    yield '    [[ $current == -* || $COMP_CWORD == 1 ]] || COMPREPLY+=($(compgen -f -- "$current"))'
    yield "}"
    yield "complete -o filenames -F _kamiwaza kamiwaza"


def _zsh() -> Iterator[str]:
    yield "#compdef kamiwaza"
    yield "_kamiwaza() {"
    yield "    if (( CURRENT == 2 )); then"
    yield f"        compadd -- {' '.join(_names())} --help --version"
    yield "        return"
    yield "    fi"
    yield "    case ${words[2]} in"
    for command in COMMANDS:
        yield f"        {'|'.join((command.name, *command.aliases))}) compadd -- {_words(command)} ;;"
    yield "    esac"
    yield "    _files"
    yield "}"
    yield "compdef _kamiwaza kamiwaza"


def _fish() -> Iterator[str]:
    for command in COMMANDS:
        names = " ".join((command.name, *command.aliases))
        yield f"complete -c kamiwaza -n __fish_use_subcommand -f -a '{names}' -d {_quoted(command.help)}"
        seen = f"-n '__fish_seen_subcommand_from {names}'"
        for flag, text in _options(command):
            yield f"complete -c kamiwaza {seen} -l {flag.removeprefix('--')} -d {_quoted(text)}"
        for argument in command.arguments:
            if "choices" in argument.options:
                yield f"complete -c kamiwaza {seen} -f -a '{' '.join(argument.options['choices'])}'"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
