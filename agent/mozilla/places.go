// Package mozilla knows what Thunderbird and Firefox keep on a machine, as far as an agent must: where their profiles lie,
// which of a profile's accounts has an address, which certificates an account is told to use, and whether the program is
// running, for then its preferences must not be written.
//
// It reads and writes profiles.ini, prefs.js and user.js alone. Certificates and keys are in databases of NSS, which are for
// NSS's own programs; which certificates a person should use is the caller's.
package mozilla

import (
	"path/filepath"
)

// Program is one whose profiles we find.
type Program int

// The programs.
const (
	Thunderbird Program = iota
	Firefox
)

// System says on what kind of machine, and whose, profiles are looked for.
type System struct {
	GOOS   string // as in runtime.GOOS
	Home   string // the person's home folder
	Config string // of programs' settings: %APPDATA% on Windows, $XDG_CONFIG_HOME elsewhere; empty means the usual one
}

// place is a folder that may hold profiles.ini, from Home or, if so marked, from Config.
type place struct {
	config bool
	path   string
}

// places are the folders of the distributors' packages, of Snap and of Flatpak; of the store's package on Windows.
var places = map[string]map[Program][]place{
	"linux": {
		Thunderbird: {
			{path: ".thunderbird"},
			{path: "snap/thunderbird/common/.thunderbird"},
			{path: ".var/app/org.mozilla.Thunderbird/.thunderbird"},
			{path: ".var/app/net.thunderbird.Thunderbird/.thunderbird"},
		},
		Firefox: {
			{path: ".mozilla/firefox"},
			{config: true, path: "mozilla/firefox"}, // from 147 on, for people who had none before
			{path: "snap/firefox/common/.mozilla/firefox"},
			{path: ".var/app/org.mozilla.firefox/.mozilla/firefox"},
		},
	},
	"darwin": {
		Thunderbird: {{path: "Library/Thunderbird"}},
		Firefox:     {{path: "Library/Application Support/Firefox"}},
	},
	"windows": {
		Thunderbird: {{config: true, path: "Thunderbird"}},
		Firefox:     {{config: true, path: "Mozilla/Firefox"}},
	},
}

// usualConfig is Config where it is not said.
var usualConfig = map[string]string{"linux": ".config", "windows": "AppData/Roaming"}

// folders returns where a program's profiles.ini may be. Other systems have Linux's places.
func (s System) folders(p Program) []string {
	system := s.GOOS
	if places[system] == nil {
		system = "linux"
	}
	config := s.Config
	if config == "" {
		config = filepath.Join(s.Home, filepath.FromSlash(usualConfig[system]))
	}
	var out []string
	for _, at := range places[system][p] {
		base := s.Home
		if at.config {
			base = config
		}
		out = append(out, filepath.Join(base, filepath.FromSlash(at.path)))
	}
	return out
}
