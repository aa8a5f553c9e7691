package portal

import (
	"slices"
	"strings"
)

// device is what is known of where somebody was when they asked for something: their program and their machine.
type device struct {
	Words string
	Icon  string
}

// deviceOf puts into words how a program calls itself (User-Agent, RFC 9110 10.1.5). It is a hint for people who tell their
// devices apart, and nothing rests on it: programs say what they like.
func (l language) deviceOf(agent string) device {
	system, icon := machineOf(agent)
	product, rest, _ := strings.Cut(agent, " ")
	name, _, _ := strings.Cut(product, "/")
	switch {
	case name == "": // nothing, or nothing that is a name
		return device{l.say("device.unknown"), "circle"}
	case name == agentProgram:
		return device{l.on(agentProgram, hostOf(rest)), "laptop-minimal"}
	case name == "Mozilla":
		return device{l.on(browserOf(agent), system), icon}
	}
	return device{shorten(product, 40), "laptop-minimal"}
}

// on says that a program runs on a machine, as far as both are known.
func (l language) on(program, machine string) string {
	switch {
	case program == "" && machine == "":
		return l.say("device.unknown")
	case program == "":
		program = l.say("device.browser")
	case machine == "":
		return program
	}
	if slices.Contains([]string{"Mac", "iPhone", "iPad"}, machine) || program == agentProgram && machine != "Linux" && machine != "Windows" {
		return l.say("device.on", program, machine) // a machine
	}
	return l.say("device.under", program, machine) // a system
}

// agentProgram is what our own agent calls itself.
const agentProgram = "sealpost-agent"

// browsers are tokens of browsers, in the order in which they are looked for: many call themselves by several names.
var browsers = []struct{ token, name string }{
	{"Edg/", "Edge"}, {"EdgA/", "Edge"}, {"EdgiOS/", "Edge"}, {"OPR/", "Opera"}, {"Vivaldi/", "Vivaldi"}, {"SamsungBrowser/", "Samsung Internet"},
	{"FxiOS/", "Firefox"}, {"Firefox/", "Firefox"}, {"CriOS/", "Chrome"}, {"HeadlessChrome/", "Chrome"}, {"Chromium/", "Chromium"}, {"Chrome/", "Chrome"},
	{"Version/", "Safari"},
}

func browserOf(agent string) string {
	for _, b := range browsers {
		if strings.Contains(agent, b.token) {
			return b.name
		}
	}
	return ""
}

// machineSystems are tokens of systems, likewise: Android says that it is Linux, an iPhone that it is like a Mac.
var machineSystems = []struct{ token, name, icon string }{
	{"Windows", "Windows", "laptop-minimal"}, {"iPhone", "iPhone", "smartphone"}, {"iPad", "iPad", "smartphone"}, {"Android", "Android", "smartphone"},
	{"CrOS", "ChromeOS", "laptop-minimal"}, {"Mac OS X", "Mac", "laptop-minimal"}, {"Macintosh", "Mac", "laptop-minimal"}, {"Linux", "Linux", "laptop-minimal"},
	{"FreeBSD", "FreeBSD", "laptop-minimal"}, {"OpenBSD", "OpenBSD", "laptop-minimal"},
}

func machineOf(agent string) (name, icon string) {
	for _, s := range machineSystems {
		if strings.Contains(agent, s.token) {
			return s.name, s.icon
		}
	}
	return "", "laptop-minimal"
}

// hostOf is the machine's name that our agent says: "(linux; laptop-7)".
func hostOf(comment string) string {
	inside := strings.TrimSuffix(strings.TrimPrefix(comment, "("), ")")
	system, host, named := strings.Cut(inside, "; ")
	if named {
		return shorten(host, 64)
	}
	for _, known := range []struct{ goos, name string }{{"linux", "Linux"}, {"windows", "Windows"}, {"darwin", "Mac"}} {
		if system == known.goos {
			return known.name
		}
	}
	return ""
}

// shorten returns at most n bytes of what is ASCII.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
