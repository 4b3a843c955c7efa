//! The words that make each shell ask us. They hold no list of their own, so they are right for every later version.

use crate::cli::CompletionShell;

pub(super) fn of(shell: CompletionShell) -> &'static str {
    match shell {
        CompletionShell::Bash => BASH,
        CompletionShell::Zsh => ZSH,
        CompletionShell::Fish => FISH,
    }
}

/// bash breaks words at `=`, `:` and `@` too, and replaces what stands behind the last break only. The line is cut at
/// blanks instead, and what stands before the break is taken off again.
const BASH: &str = r#"_bowline() {
    local line="${COMP_LINE:0:COMP_POINT}" offer quoted status
    local -a words offers
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    local typed="${words[${#words[@]}-1]}"
    local kept="${typed%"${typed##*[=:@]}"}"
    COMPREPLY=()
    offers=("$(command bowline __complete "${words[@]:1}" 2>/dev/null)")
    status=$?
    if [[ $status -eq 3 ]]; then
        compopt -o default 2>/dev/null
        return 0
    fi
    while IFS= read -r offer; do
        offer="${offer%%$'\t'*}"
        [[ -z $offer ]] && continue
        quoted="${offer#"$kept"}"
        [[ $quoted == *[[:space:]\'\"\\\$\`\&\;\|\<\>\(\)\*\?\!\#]* ]] && printf -v quoted %q "$quoted"
        COMPREPLY+=("$quoted")
    done <<<"${offers[0]}"
}
complete -F _bowline bowline
"#;

const ZSH: &str = r#"#compdef bowline
_bowline() {
    local line answer
    local -a offers
    answer="$(command bowline __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)"
    if (( $? == 3 )); then
        _files
        return
    fi
    for line in "${(@f)answer}"; do
        [[ -z $line ]] && continue
        if [[ $line == *$'\t'* ]]; then
            offers+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
        else
            offers+=("${line//:/\\:}")
        fi
    done
    _describe bowline offers
}
if [[ "${funcstack[1]-}" == _bowline ]]; then
    _bowline "$@"
else
    compdef _bowline bowline
fi
"#;

const FISH: &str = r#"function __bowline_offers
    set -l words (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token --cut-at-cursor)
    set -l offers (command bowline __complete $words[2..-1] 2>/dev/null)
    if test $status -eq 3
        __fish_complete_path (commandline --current-token --cut-at-cursor)
        return
    end
    string join \n -- $offers
end
complete --command bowline --no-files --keep-order --arguments '(__bowline_offers)'
"#;
