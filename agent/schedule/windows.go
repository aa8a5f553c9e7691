package schedule

import (
	"encoding/xml"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// task is the job's name to Windows.
const task = "Sealpost agent"

// TaskScheduler returns the plan for Windows' task scheduler (Task Scheduler Schema, version 1.2), which reads the job from a file in
// folder. It runs with the rights of whoever is logged in and no more: for one person, or for everybody, by the group of all users.
func TaskScheduler(j Job, folder string, everybody bool) (Plan, error) {
	if err := j.check(); err != nil {
		return Plan{}, err
	}
	principal := "<LogonType>InteractiveToken</LogonType>"
	if everybody {
		principal = "<GroupId>S-1-5-32-545</GroupId>" // BUILTIN\Users
	}
	arguments := make([]string, len(j.Args))
	for i, arg := range j.Args {
		arguments[i] = windowsArgument(arg)
	}
	text := xml.Header + `<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo><Description>Keeps your certificates for secure mail</Description></RegistrationInfo>
  <Triggers>
    <LogonTrigger>
      <Repetition><Interval>` + isoDuration(j.Every) + `</Interval></Repetition>
      <Delay>PT1M</Delay>
    </LogonTrigger>
  </Triggers>
  <Principals><Principal id="Author">` + principal + `<RunLevel>LeastPrivilege</RunLevel></Principal></Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <StartWhenAvailable>true</StartWhenAvailable>
    <RunOnlyIfNetworkAvailable>true</RunOnlyIfNetworkAvailable>
    <ExecutionTimeLimit>PT30M</ExecutionTimeLimit>
    <Priority>7</Priority>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>` + xmlText(j.Program) + `</Command>
      <Arguments>` + xmlText(strings.Join(arguments, " ")) + `</Arguments>
    </Exec>
  </Actions>
</Task>
`
	file := filepath.Join(folder, "schedule.xml")
	return Plan{System: "task scheduler", Files: []File{{file, text}},
		Enable:  [][]string{{"schtasks.exe", "/Create", "/F", "/TN", task, "/XML", file}, {"schtasks.exe", "/Run", "/TN", task}},
		Disable: [][]string{{"schtasks.exe", "/Delete", "/F", "/TN", task}}}, nil
}

// isoDuration is xs:duration in seconds, which the scheduler takes for any length.
func isoDuration(d time.Duration) string { return fmt.Sprintf("PT%dS", int64(d/time.Second)) }

// windowsArgument quotes an argument as CommandLineToArgvW takes it apart again.
func windowsArgument(arg string) string {
	if arg != "" && !strings.ContainsAny(arg, " \t\"") {
		return arg
	}
	var b strings.Builder
	b.WriteByte('"')
	slashes := 0
	for _, r := range arg {
		switch r {
		case '\\':
			slashes++
			continue
		case '"':
			b.WriteString(strings.Repeat(`\`, 2*slashes+1))
		default:
			b.WriteString(strings.Repeat(`\`, slashes))
		}
		slashes = 0
		b.WriteRune(r)
	}
	b.WriteString(strings.Repeat(`\`, 2*slashes) + `"`)
	return b.String()
}
