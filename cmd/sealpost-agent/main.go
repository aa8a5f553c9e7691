// Command sealpost-agent gets a person's mail certificates onto their workstation and keeps them there: it makes the
// keys, enrols, renews in time, and fills the key stores of mail programs. It holds wiring, options and texts; what it
// does lies in package agent.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/agent"
)

// Exit codes. Scripts rely on them.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2   // the command line is wrong; nothing was done
	exitWaiting = 3   // the request is made but not issued, or a case not decided: run the same command again later
	exitStopped = 130 // interrupted; run the same command again to go on
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// run runs the command line and returns the exit code.
func run(ctx context.Context, args []string) int {
	s := &session{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, env: os.Getenv, ctx: ctx}
	root := commands(s)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	if ctx.Err() != nil {
		fmt.Fprintln(os.Stderr, "sealpost-agent: stopped. Run the same command again to go on.")
		return exitStopped
	}
	s.explain(err)
	var usage usageError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, agent.ErrWaiting), errors.Is(err, agent.ErrCaseWaiting):
		return exitWaiting
	}
	return exitFailed
}

func commands(s *session) *cobra.Command {
	root := &cobra.Command{
		Use:   "sealpost-agent",
		Short: "Get and keep the certificates for your secure mail",
		Long: `Makes your keys on this machine, gets certificates for them from your organisation's Sealpost, and puts both where
mail programs find them. The key you sign with never leaves this machine. The key your mail is encrypted to is also kept,
sealed, in your organisation's archive, so that the mail stays readable if this machine is lost.

The first time, name the server and the root certificate that your organisation gave you; afterwards the agent knows:

  sealpost-agent enroll --server https://ca.example.com:8443 --roots root.pem --login alice

Then "sealpost-agent install" has your system look after them from now on: renewals need nobody.

Passwords and tokens are never given on the command line. They come from a file (--password-file, --token-file; "-" is
standard input), from the environment (SEALPOST_PASSWORD, SEALPOST_TOKEN), or are asked for.

Exit codes: 0 done; 1 failed; 2 wrong command line; 3 the request waits for the server, a registrar or the officers,
run the same command again later; 130 interrupted.`,
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("there is no command %q", args[0]), c.CommandPath()}
			}
			return c.Help()
		},
	}
	root.SetOut(s.stdout)
	root.SetErr(s.stderr)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usageError{err, c.CommandPath()} })
	s.addFlags(root)
	root.AddCommand(enrollCommand(s), renewCommand(s), fillCommand(s), passphraseCommand(s), pinCommand(s), runCommand(s), daemonCommand(s), installCommand(s), uninstallCommand(s), listCommand(s), revokeCommand(s), statusCommand(s), restoreCommand(s), caseCommand(s), historyCommand(s), importCommand(s), tokenCommand(s))
	checkArguments(root)
	return root
}

// checkArguments makes mistakes in the arguments of all commands below c usage errors.
func checkArguments(c *cobra.Command) {
	for _, sub := range c.Commands() {
		sub.Args = usageArgs(sub.Args)
		checkArguments(sub)
	}
}

// version returns the version that the program was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(unknown)"
	}
	return info.Main.Version
}
