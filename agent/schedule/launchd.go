package schedule

import (
	"encoding/xml"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// label is the job's name to launchd.
const label = "org.sealpost.agent"

// Launchd returns the plan for macOS (launchd.plist(5)): folder is ~/Library/LaunchAgents, domain "gui/UID". For everybody on the machine
// folder is /Library/LaunchAgents and domain is empty: it holds from each person's next login on.
func Launchd(j Job, folder, domain string) (Plan, error) {
	if err := j.check(); err != nil {
		return Plan{}, err
	}
	var b strings.Builder
	b.WriteString(xml.Header + `<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">` + "\n")
	b.WriteString("<plist version=\"1.0\">\n<dict>\n\t<key>Label</key>\n\t<string>" + label + "</string>\n\t<key>ProgramArguments</key>\n\t<array>\n")
	for _, arg := range append([]string{j.Program}, j.Args...) {
		b.WriteString("\t\t<string>" + xmlText(arg) + "</string>\n")
	}
	fmt.Fprintf(&b, "\t</array>\n\t<key>RunAtLoad</key>\n\t<true/>\n\t<key>StartInterval</key>\n\t<integer>%d</integer>\n", int64(j.Every/time.Second))
	b.WriteString("\t<key>ProcessType</key>\n\t<string>Background</string>\n\t<key>Umask</key>\n\t<integer>63</integer>\n</dict>\n</plist>\n") // 63 is 0077
	file := filepath.Join(folder, label+".plist")
	p := Plan{System: "launchd", Files: []File{{file, b.String()}}}
	if domain != "" {
		// bootout of what is not loaded fails, and bootstrap of what is loaded does: a script runs both.
		p.Enable = [][]string{{"/bin/sh", "-c", `launchctl bootout "$1/$2" 2>/dev/null; exec launchctl bootstrap "$1" "$3"`, "sh", domain, label, file}}
		p.Disable = [][]string{{"launchctl", "bootout", domain + "/" + label}}
	}
	return p, nil
}

func xmlText(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}
