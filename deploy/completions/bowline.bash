_bowline() {
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
