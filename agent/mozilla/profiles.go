package mozilla

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/internal/disk"
	"github.com/sealpost/sealpost/internal/fault"
)

// Bounds of what is read. A list of more profiles than that is not one that a person made.
const (
	maxList     = 1 << 20 // bytes
	maxProfiles = 200
)

// ErrProfiles says that a list of profiles cannot be understood.
var ErrProfiles = fault.New(fault.Malformed, "mail-profiles", "The list of the mail program's profiles cannot be understood.")

// Profiles returns the folders of a program's profiles, as its lists name them; those that are there, each once.
func (s System) Profiles(p Program) (out []string, err error) {
	var seen []fs.FileInfo
	for _, folder := range s.folders(p) {
		named, broken := listed(folder)
		err = errors.Join(err, broken) // one list that is broken hides no other
		for _, dir := range named {
			info, err := os.Stat(dir)
			if err != nil || !info.IsDir() {
				continue // a list names profiles that were deleted, too
			}
			// One folder may have two names: Debian's programs once had names of their own.
			if !slices.ContainsFunc(seen, func(other fs.FileInfo) bool { return os.SameFile(info, other) }) {
				seen, out = append(seen, info), append(out, dir)
			}
		}
	}
	return out, err
}

// listed returns what profiles.ini and installs.ini of a folder name.
func listed(folder string) ([]string, error) {
	var out []string
	for _, name := range []string{"profiles.ini", "installs.ini"} {
		path := filepath.Join(folder, name)
		text, err := disk.Read(path, maxList)
		if errors.Is(err, fs.ErrPermission) {
			continue // another package's folder that we may not see
		}
		if err != nil {
			return nil, err
		}
		found, err := parseList(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for _, f := range found {
			dir := f.path
			if f.relative {
				dir = filepath.Join(folder, filepath.FromSlash(dir))
			}
			if !slices.Contains(out, dir) {
				out = append(out, dir)
			}
		}
	}
	return out, nil
}

// entry is a profile as a list names it.
type entry struct {
	relative bool // to the list's folder
	path     string
}

// parseList reads profiles.ini or installs.ini. Sections [ProfileN] have Path and IsRelative; [InstallHASH], and every
// section of installs.ini, has Default, a profile's path that is relative unless it is a whole one. A relative path must stay
// in the folder.
func parseList(text string) ([]entry, error) {
	var out []entry
	section, path, relative := "", "", true
	end := func() error {
		defer func() { path, relative = "", true }()
		if path == "" {
			return nil
		}
		e := entry{relative, path}
		switch {
		case strings.ContainsFunc(path, func(r rune) bool { return r < ' ' }):
			return ErrProfiles.Withf("The path %q of a profile is not one.", path)
		case relative && !filepath.IsLocal(filepath.FromSlash(path)):
			return ErrProfiles.Withf("The path %q of a profile leads out of the folder that it should lie in.", path)
		case !relative && !filepath.IsAbs(path):
			return ErrProfiles.Withf("The path %q of a profile is not a whole one.", path)
		case !slices.Contains(out, e):
			out = append(out, e)
		}
		if len(out) > maxProfiles {
			return ErrProfiles.Withf("There are more than %d profiles.", maxProfiles)
		}
		return nil
	}
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == ';' || line[0] == '#' {
			continue
		}
		if line[0] == '[' {
			if err := end(); err != nil {
				return nil, err
			}
			section = strings.Trim(line, "[]")
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || section == "" {
			return nil, ErrProfiles.Withf("A line is neither a section nor a setting.")
		}
		ofProfile := strings.HasPrefix(section, "Profile")
		switch {
		case key == "Path" && ofProfile:
			path = value
		case key == "IsRelative" && ofProfile:
			relative = value == "1"
		case key == "Default" && !ofProfile && section != "General":
			path, relative = value, !filepath.IsAbs(value)
		}
	}
	return out, end()
}
