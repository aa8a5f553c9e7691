package main

import (
	"bufio"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/keys"
	"github.com/sealpost/sealpost/kra"
)

// passphraseEnv is the environment variable that may hold the passphrase.
const passphraseEnv = "SEALPOST_KRA_PASSPHRASE"

const (
	comparedWords = 5 // typed of the sixteen: 80 bits, at places that nobody knew when the plan was made
	attempts      = 3
	maxLine       = 1000 // bytes that a person types
)

// passphrase takes the passphrase from the file, the environment or the person. It is never on the command line, where
// other users of the machine could read it.
func (t *tool) passphrase(c *cobra.Command, question string) (keys.Unlock, error) {
	if t.passphraseFile != "" {
		return keys.ReadPassphrase(t.passphraseFile)
	}
	if v := os.Getenv(passphraseEnv); v != "" {
		return keys.Unlock(v), nil
	}
	return askSecret(c, question)
}

// newPassphrase is passphrase for one that is set now: a person types it twice.
func (t *tool) newPassphrase(c *cobra.Command) (keys.Unlock, error) {
	asked := t.passphraseFile == "" && os.Getenv(passphraseEnv) == ""
	first, err := t.passphrase(c, fmt.Sprintf("A new passphrase for your keys (at least %d characters; five random words are good)", kra.MinPassphrase))
	if err != nil || !asked {
		return first, err
	}
	second, err := askSecret(c, "Once more")
	defer clear(second)
	if err == nil && subtle.ConstantTimeCompare(first, second) != 1 {
		err = errors.New("the two passphrases differ; nothing was made")
	}
	return first, err
}

func askSecret(c *cobra.Command, question string) (keys.Unlock, error) {
	in := int(os.Stdin.Fd())
	if !term.IsTerminal(in) {
		return nil, fmt.Errorf("a passphrase is needed, and there is no terminal to ask for it: give --passphrase-file or set %s", passphraseEnv)
	}
	fmt.Fprint(c.ErrOrStderr(), question+": ")
	b, err := term.ReadPassword(in)
	fmt.Fprintln(c.ErrOrStderr())
	if err != nil {
		return nil, fmt.Errorf("read the passphrase: %w", err)
	}
	return b, nil
}

// compare has a person type some of a hash's words as they heard them from others. It asks for places chosen now, so
// that whoever made what is hashed could not aim at them.
func compare(c *cobra.Command, h record.Hash, from string) error {
	places, err := randomPlaces(len(h)/2, comparedWords)
	if err != nil {
		return err
	}
	words := h.Words()
	var want, numbers []string
	for _, p := range places {
		want, numbers = append(want, words[p]), append(numbers, fmt.Sprint(p+1))
	}
	w := c.ErrOrStderr()
	fmt.Fprintf(w, "Have %s read the sixteen words aloud from THEIR screen, and check all of them against yours.\n", from)
	in := bufio.NewReader(io.LimitReader(c.InOrStdin(), attempts*maxLine))
	for range attempts {
		fmt.Fprintf(w, "Then type the words number %s, as you heard them: ", strings.Join(numbers, ", "))
		line, err := in.ReadString('\n')
		if got := strings.Fields(strings.ToLower(line)); slices.Equal(got, want) {
			return nil
		}
		if err != nil {
			fmt.Fprintln(w)
			return errors.New("the words were not typed: nothing was done")
		}
		fmt.Fprintln(w, "Those are not the words.")
	}
	return errors.New("the words do not agree. If they were read and typed correctly, somebody has exchanged what you see: stop, and find out who")
}

// randomPlaces returns k different numbers below n, ascending.
func randomPlaces(n, k int) ([]int, error) {
	var out []int
	for len(out) < k {
		i, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
		if err != nil {
			return nil, err
		}
		if p := int(i.Int64()); !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return out, nil
}
