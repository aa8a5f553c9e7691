package mozilla

import "strings"

// ParseList returns the paths in a list of profiles.
func ParseList(text string) ([]string, error) {
	found, err := parseList(text)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range found {
		out = append(out, e.path)
	}
	return out, nil
}

// SetPref and GetPref change and read a preference.
func SetPref(text, name, value string) string {
	return newPrefs(text).with([]wanted{wantString(name, value)})
}

func GetPref(text, name string) (string, bool) {
	p, ok := newPrefs(text).get(name)
	return p.value, ok
}

// Unended reports whether a text's end belongs to a comment that does not end, so that nothing can be added.
func Unended(text string) bool { return strings.Contains(text, "/*") }
