function __bowline_offers
    set -l words (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token --cut-at-cursor)
    set -l offers (command bowline __complete $words[2..-1] 2>/dev/null)
    if test $status -eq 3
        __fish_complete_path (commandline --current-token --cut-at-cursor)
        return
    end
    string join \n -- $offers
end
complete --command bowline --no-files --keep-order --arguments '(__bowline_offers)'
