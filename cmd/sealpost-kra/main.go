// Command sealpost-kra is the tool of a recovery officer (key recovery agent): it makes the officer's keys, holds the
// ceremony in which the officers make the archive's key, and answers the cases in which keys are opened; recipients of
// such cases open them with it. It runs on the officer's own machine, needs no network, and links
// no server code. It holds the command line and its texts; what it does lies in package kra.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/kra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// run runs the command line and returns the exit code.
func run(ctx context.Context, args []string) int {
	root := commands()
	root.SetArgs(args)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "sealpost-kra: "+explain(err))
		return 1
	}
	return 0
}

// explain returns what to print of an error: for a fault the sentence that says what to do and its code, then its cause,
// because whoever sits here is alone with the machine.
func explain(err error) string {
	f := fault.Of(err)
	if f == nil {
		return err.Error()
	}
	s := f.Detail + " (" + f.Code + ")"
	if cause := rootCause(f); cause != "" {
		s += "\n  cause: " + cause
	}
	return s
}

// rootCause returns what the fault does not say itself: a cause that is a fault too has been put into its sentence.
func rootCause(f *fault.Error) string {
	for f.Err != nil {
		inner := fault.Of(f.Err)
		if inner == nil {
			return f.Err.Error()
		}
		f = inner
	}
	return ""
}

func version() string {
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" {
		return b.Main.Version
	}
	return "(devel)"
}

func commands() *cobra.Command {
	root := &cobra.Command{
		Use:   "sealpost-kra",
		Short: "The tool of a recovery officer: keys, the ceremony that makes the archive's key, and cases",
		Long: `The archive keeps copies of people's encryption keys. What opens it is split among recovery officers: each holds a
share, several must act together, and the server can do nothing alone. This tool is for one officer, on their own
machine. Only cases that are named by their id need a network.

Once, in this order (docs/runbooks/ceremony.md has every step):
  keygen                 make your keys
  import                 take the card that the authority's operator made for you
  plan                   one of you writes down what the ceremony shall make
  ceremony commit        then all of you: compare the plan by voice, and bind yourselves
  ceremony reveal        when all have committed
  ceremony acknowledge   when all have revealed
  ceremony finish        one of you writes the roster file
  verify-share           all of you: check that your share is really in it
  log trust              remember the key of the server's audit log

Then, case by case (by its id on the server, or as a folder on a stick or a shared drive):
  cases                  which cases on the server concern you
  show                   who asks for whose keys, why, and for whom
  approve, deny          answer
  open                   as the recipient: open the keys that were approved
  fetch, send            take a case to an officer without a network, and the answer back

From time to time:
  log check              see that the server's audit log is still the one that you saw
  drill                  prove that you can still open
  reshare, retire        pass the key on to other officers
  rekey                  move everything to a new key (docs/runbooks/suspected-officer.md)`,
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	t := &tool{}
	root.PersistentFlags().StringVar(&t.home, "home", "", "your folder, for your eyes only (default ~/.local/share/sealpost-kra)")
	root.PersistentFlags().StringVar(&t.passphraseFile, "passphrase-file", "", "file whose first line is your passphrase; else it is taken from "+passphraseEnv+", or asked for")
	t.net.add(root)
	root.AddCommand(t.casesCommand(), t.keygenCommand(), t.importCommand(), t.planCommand(), t.ceremonyCommand(), t.verifyShareCommand(),
		t.fetchCommand(), t.sendCommand(), t.logCommand(), t.showCommand(), t.approveCommand(), t.denyCommand(), t.openCommand(),
		t.drillCommand(), t.reshareCommand(), t.retireCommand(), t.rekeyCommand())
	return root
}

// tool is what all commands share.
type tool struct {
	home           string
	passphraseFile string
	net            onlineFlags
}

// officer opens the home.
func (t *tool) officer() (*kra.Officer, error) {
	if t.home == "" {
		dir, err := os.UserHomeDir()
		if err != nil {
			return nil, fmt.Errorf("your home folder is not known; give --home: %w", err)
		}
		t.home = filepath.Join(dir, ".local", "share", "sealpost-kra")
	}
	return kra.Open(kra.Config{Home: t.home})
}

// unlocked opens the home and its keys.
func (t *tool) unlocked(c *cobra.Command) (*kra.Officer, error) {
	o, err := t.officer()
	if err != nil {
		return nil, err
	}
	return o, t.unlock(c, o)
}

func (t *tool) unlock(c *cobra.Command, o *kra.Officer) error {
	question := "Your passphrase"
	if on, err := o.OnToken(); err != nil {
		return err
	} else if on {
		question = "The token's PIN"
	}
	p, err := t.passphrase(c, question)
	if err != nil {
		return err
	}
	defer clear(p)
	return o.Unlock(c.Context(), p)
}
