package schedule

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// unit is the name of the units, without their kind.
const unit = "sealpost-agent"

// Systemd returns the plan for a person's own systemd (systemd.service(5), systemd.timer(5)); folder is ~/.config/systemd/user. For
// everybody on the machine folder is /etc/systemd/user, and everybody is true: it holds from each person's next login on.
func Systemd(j Job, folder string, everybody bool) (Plan, error) {
	if err := j.check(); err != nil {
		return Plan{}, err
	}
	if strings.ContainsAny(j.Program, "\"'\\") {
		return Plan{}, ErrJob.Withf("systemd runs no program whose path has quotes or backslashes: %s. Put the agent elsewhere.", j.Program)
	}
	service := "# Written by sealpost-agent install; sealpost-agent uninstall removes it.\n" +
		"[Unit]\nDescription=Keeps your certificates for secure mail\n\n" +
		"[Service]\nType=oneshot\n" +
		"ExecStart=" + systemdCommand(j.Program, j.Args) + "\n" +
		// A request that waits for a registrar, or a case for officers, is no failure.
		"SuccessExitStatus=3\n" +
		"UMask=0077\nNoNewPrivileges=yes\nTimeoutStartSec=30min\nNice=10\n"
	timer := "# Written by sealpost-agent install; sealpost-agent uninstall removes it.\n" +
		"[Unit]\nDescription=Keeps your certificates for secure mail\n\n" +
		"[Timer]\n" +
		"OnStartupSec=1min\n" + // of the person's session
		"OnUnitActiveSec=" + seconds(j.Every) + "\n" +
		"RandomizedDelaySec=" + seconds(j.Spread) + "\n\n" +
		"[Install]\nWantedBy=timers.target\n"
	p := Plan{System: "systemd", Files: []File{
		{filepath.Join(folder, unit+".service"), service},
		{filepath.Join(folder, unit+".timer"), timer},
	}}
	if everybody {
		p.Enable = [][]string{{"systemctl", "--global", "enable", unit + ".timer"}}
		p.Disable = [][]string{{"systemctl", "--global", "disable", unit + ".timer"}}
		return p, nil
	}
	p.Enable = [][]string{{"systemctl", "--user", "daemon-reload"}, {"systemctl", "--user", "enable", "--now", unit + ".timer"}}
	p.Disable = [][]string{{"systemctl", "--user", "disable", "--now", unit + ".timer"}}
	return p, nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%ds", int64(d/time.Second)) }

// systemdCommand quotes a command line as systemd.service(5) reads it: C-style quotes, and no specifiers; the arguments, but not the
// program, may name variables.
func systemdCommand(program string, args []string) string {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`)
	out := `"` + quote.Replace(program) + `"`
	for _, arg := range args {
		out += ` "` + strings.ReplaceAll(quote.Replace(arg), `$`, `$$`) + `"`
	}
	return out
}

// Autostart returns the plan for desktops without systemd: the program starts with the session and goes on until its end (Desktop
// Application Autostart Specification). Folder is ~/.config/autostart, or /etc/xdg/autostart for everybody.
func Autostart(j Job, folder string) (Plan, error) {
	if err := j.check(); err != nil {
		return Plan{}, err
	}
	entry := "[Desktop Entry]\nType=Application\nName=Sealpost agent\nComment=Keeps your certificates for secure mail\n" +
		"Exec=" + desktopCommand(append([]string{j.Program}, j.Daemon...)) + "\nTerminal=false\nNoDisplay=true\n"
	return Plan{System: "autostart", Files: []File{{filepath.Join(folder, unit+".desktop"), entry}}}, nil
}

// desktopCommand quotes a command line as the Desktop Entry Specification's key Exec has it; the value is a string of its own kind
// around that, in which a backslash is written twice.
func desktopCommand(args []string) string {
	out := make([]string, len(args))
	for i, arg := range args {
		quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", `$`, `\$`).Replace(arg)
		out[i] = strings.ReplaceAll(`"`+strings.ReplaceAll(quoted, `%`, `%%`)+`"`, `\`, `\\`)
	}
	return strings.Join(out, " ")
}
