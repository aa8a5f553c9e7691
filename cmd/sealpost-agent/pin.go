package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/agent"
)

func pinCommand(s *session) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "pin",
		Short: "Change the PIN of your key in the TPM",
		Long: `Changes the PIN of the key that you sign with, where that is in this machine's TPM. It asks for the old one (--pin-file, SEALPOST_PIN), which is tried once, and
for the new one, twice. The server is asked nothing, and the key stays the same. A copy of the agent's folder from before still works with the old PIN, on this machine.

The PIN of a token is changed by its maker's program, or for most tokens by: pkcs11-tool --module LIBRARY --login --change-pin`,
		Example: `  sealpost-agent pin
  sealpost-agent pin --pin-file old --new-pin-file new`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			a, err := s.open()
			if err != nil {
				return err
			}
			defer s.keepStatus(a)
			_, err = a.ChangePIN(agent.ChangeOptions{Mailbox: s.mailbox, New: func(least int) (string, error) {
				return s.newSecret("new PIN", least, file, "SEALPOST_NEW_PIN")
			}})
			if err != nil {
				return err
			}
			note := "A file that the old PIN lies in needs the new one."
			return s.write(map[string][]string{"notes": {note}}, func(w io.Writer) {
				fmt.Fprintln(w, "The key in the TPM has the new PIN.")
				fmt.Fprintln(w, "note: "+note)
			})
		},
	}
	c.Flags().StringVar(&file, "new-pin-file", "", "file with the new one (SEALPOST_NEW_PIN)")
	return c
}
