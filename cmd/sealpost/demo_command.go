package main

import (
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/cmd/sealpost/demo"
)

func demoCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole of it on this machine, with a small company",
		Long: `Starts a private PostgreSQL, a private OpenLDAP and a private FTP server, makes an installation with three recovery officers,
enrols people, sends signed and encrypted mail between them, revokes a certificate, fetches the revocation list from every
place where it is published, recovers old keys, repairs directory entries that others wrote into, and lets openssl, gpgsm,
ldapsearch, curl and psql check every step. Then it serves until interrupted.

Everything lies in one folder, which must be new, empty, or a former demo's; nothing is left running.`,
		Args: cobra.NoArgs,
	}
	dir := c.Flags().String("dir", "", "folder for everything (default ./demo, or for root a temporary one)")
	once := c.Flags().Bool("once", false, "end after the tour; exit with 1 if a step fails")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if *dir == "" {
			d, err := demo.DefaultFolder()
			if err != nil {
				return err
			}
			*dir = d
		}
		self, err := exec.LookPath(os.Args[0]) // a link keeps its name: the tests run as sealpost by one
		if err == nil {
			self, err = filepath.Abs(self)
		}
		if err != nil {
			return err
		}
		return demo.Run(cmd.Context(), demo.Config{Dir: *dir, Once: *once, Program: self, Out: cmd.OutOrStdout()})
	}
	return c
}
