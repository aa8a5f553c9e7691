package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/cmd/sealpost/setup"
	"github.com/sealpost/sealpost/internal/keys"
)

// maxPassphrase bounds a passphrase that comes by standard input, in bytes.
const maxPassphrase = 1000

// backupFlags say where a backup is, and its passphrase.
type backupFlags struct{ file, passphraseFile string }

func (b *backupFlags) add(c *cobra.Command, usage string) {
	c.Flags().StringVar(&b.file, "backup", "", usage)
	c.Flags().StringVar(&b.passphraseFile, "backup-passphrase", "", "file with the backup's passphrase (default: FILE.passphrase if it is there; else it is asked for)")
}

// open opens the backup.
func (b *backupFlags) open(cmd *cobra.Command) (*record.WrappingKey, error) {
	if _, err := os.Stat(b.file); err != nil { // before the passphrase is asked for
		return nil, err
	}
	p, err := b.passphrase(cmd)
	if err != nil {
		return nil, err
	}
	defer clear(p)
	key, err := setup.OpenWrappingKey(b.file, p)
	if errors.Is(err, keys.ErrPassphrase) {
		err = keys.ErrPassphrase.Withf("The passphrase does not open the backup %s.", b.file)
	}
	return key, err
}

// passphrase takes the backup's passphrase from its file, or from the person.
func (b *backupFlags) passphrase(cmd *cobra.Command) (keys.Unlock, error) {
	if b.passphraseFile != "" {
		return keys.ReadPassphrase(b.passphraseFile)
	}
	beside := setup.BackupPassphrase(b.file)
	if _, err := os.Lstat(beside); !errors.Is(err, fs.ErrNotExist) {
		return keys.ReadPassphrase(beside)
	}
	if in := int(os.Stdin.Fd()); term.IsTerminal(in) {
		fmt.Fprint(cmd.ErrOrStderr(), "Passphrase of the backup: ")
		defer fmt.Fprintln(cmd.ErrOrStderr())
		p, err := term.ReadPassword(in)
		return keys.Unlock(p), err
	}
	line, err := bufio.NewReader(io.LimitReader(cmd.InOrStdin(), maxPassphrase)).ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return keys.Unlock(bytes.TrimRight(line, "\r\n")), nil
}
