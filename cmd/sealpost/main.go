// Command sealpost is the certificate authority: the server, and the tools of whoever runs it. It holds wiring and texts;
// what it does lies in the rooms, in server (putting them together), setup (a new installation) and demo (the tour).
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/internal/fault"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// run runs the command line and returns the exit code: 1 for an error, unless that says another.
func run(ctx context.Context, args []string) int {
	root := commands()
	root.SetArgs(args)
	if err := root.ExecuteContext(ctx); err != nil {
		var e exit
		if errors.As(err, &e) {
			fmt.Fprintln(os.Stderr, "sealpost: "+explain(e.error))
			return e.code
		}
		fmt.Fprintln(os.Stderr, "sealpost: "+explain(err))
		return 1
	}
	return 0
}

// explain returns what to print of an error: for a fault where it lies, the sentence that says what to do and its code,
// then its cause, because whoever is at this command line runs the server.
func explain(err error) string {
	f := fault.Of(err)
	if f == nil {
		return err.Error()
	}
	where, one := strings.CutSuffix(err.Error(), f.Error())
	if !one { // several were joined
		return err.Error()
	}
	s := where + f.Detail + " (" + f.Code + ")"
	if f.Err != nil {
		s += "\n  cause: " + f.Err.Error()
	}
	return s
}

func commands() *cobra.Command {
	root := &cobra.Command{
		Use:           "sealpost",
		Short:         "The certificate authority an organisation runs for its own secure mail",
		Version:       server.Version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(initCommand(), migrateCommand(), checkCommand(), serveCommand(), rosterCommand(), wrappingCommand(), archiveCommand(), rootCommand(), auditCommand(), revokeCommand(), leaversCommand(), crlCommand(), galCommand(), fleetCommand(), renewalsCommand(), findCommand(), smimeaCommand(), demoCommand(), benchCommand())
	return root
}
