package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/kra"
)

// examine reads a case's folder, with a bar for large ones.
func examine(c *cobra.Command, o *kra.Officer, folder string) (*kra.Examination, error) {
	return o.Examine(folder, newProgress(c.ErrOrStderr(), "Verifying records").report)
}

// examined fetches the case that an argument names, where it is not a folder, and examines it.
func (t *tool) examined(c *cobra.Command, argument string) (*kra.Officer, place, *kra.Examination, error) {
	o, err := t.officer()
	if err != nil {
		return nil, place{}, nil, err
	}
	p, err := t.find(c, argument)
	if err != nil {
		return nil, p, nil, err
	}
	if err := p.fetchLog(c, o); err != nil {
		return nil, p, nil, err
	}
	if err := t.meetLog(c, o, p.dir); err != nil {
		return nil, p, nil, err
	}
	x, err := examine(c, o, p.dir)
	return o, p, x, err
}

// answer brings an answer to where the case came from, and says so.
func (p place) answer(c *cobra.Command, x *kra.Examination, a *kra.Answered, asJSON bool) error {
	sent, err := p.send(c, a)
	if err != nil {
		return err
	}
	return reportAnswer(c.OutOrStdout(), x, a, sent, asJSON)
}

func (t *tool) approveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "approve CASE",
		Short: "Check a case and open your part of its keys, for its recipient",
		Long: `Checks everything about a case, shows who asks for whose keys, why and for whom, and then makes your part of the answer:
one file in the case's folder, or, for a case that is named by its id, an answer that is sent to the server. What you see of the people comes from the records themselves, which nobody can alter.

In a restore the keys go to a new device. That it is the person's, neither this program nor the server can know. Call the
person on a number that you know from elsewhere and have them read words from their screen; you type what you hear.

Your answer cannot be taken back, and is given once: a repetition puts the same file there again.`,
		Example: `  sealpost-kra approve /media/stick/case --comment "Spoke with Alice on the telephone"`,
		Args:    cobra.ExactArgs(1),
	}
	f := c.Flags()
	fingerprint := f.String("fingerprint", "", "in a restore, in place of being asked: the recipient's fingerprint as the person read it, its first 5 words or 20 digits at least")
	yes := f.Bool("yes", false, "do not ask whether to go on")
	comment := f.String("comment", "", "a remark that stands in your answer, for the others")
	asJSON := f.Bool("json", false, "print JSON")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		o, p, x, err := t.examined(cmd, args[0])
		if err != nil {
			return err
		}
		view := describeCase(x)
		view.Faults = nil // the refusal says them
		view.print(cmd.ErrOrStderr())
		if err := x.Refusal(); err != nil {
			return err
		}
		heard, err := consider(cmd, x, *fingerprint, *yes)
		if err != nil {
			return err
		}
		if err := t.unlock(cmd, o); err != nil {
			return err
		}
		a, err := o.Approve(cmd.Context(), x, heard, *comment)
		if err != nil {
			return err
		}
		return p.answer(cmd, x, a, *asJSON)
	}
	return c
}

// consider has the officer decide. In a restore typing what the subject read is the decision.
func consider(c *cobra.Command, x *kra.Examination, fingerprint string, yes bool) (kra.Heard, error) {
	if x.Case.Kind == record.CaseRestore {
		if fingerprint != "" {
			return kra.ParseHeard(fingerprint)
		}
		return hear(c, x.Subjects[0].Name())
	}
	if yes {
		return kra.Heard{}, nil
	}
	fmt.Fprintf(c.ErrOrStderr(), "\nTo open your part of these keys for this recipient, type approve: ")
	if line, err := readLine(c.InOrStdin()); err != nil || strings.TrimSpace(line) != "approve" {
		return kra.Heard{}, errors.New("it was not approved: nothing was done")
	}
	return kra.Heard{}, nil
}

// hear asks for some words of the recipient's fingerprint, at places chosen now. None is ever shown here.
func hear(c *cobra.Command, who string) (kra.Heard, error) {
	places, err := randomPlaces(len(record.Hash{})/2, kra.HeardBits/16)
	if err != nil {
		return kra.Heard{}, err
	}
	var numbers []string
	for _, p := range places {
		numbers = append(numbers, fmt.Sprint(p+1))
	}
	fmt.Fprintf(c.ErrOrStderr(), "\nCall %s, not on a number from this case. Have them read the words number %s from THEIR screen.\n"+
		"Type them as you heard them, or nothing to stop: ", who, strings.Join(numbers, ", "))
	line, err := readLine(c.InOrStdin())
	if words := strings.Fields(strings.ToLower(line)); len(words) > 0 {
		return kra.HeardWords(places, words)
	}
	return kra.Heard{}, errors.Join(errors.New("nothing was typed: nothing was done"), err)
}

// readLine reads one line that a person types.
func readLine(r io.Reader) (string, error) {
	var line []byte
	var b [1]byte
	for len(line) < maxLine {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return string(line), err
		}
		if b[0] == '\n' {
			break
		}
		line = append(line, b[0])
	}
	return string(line), nil
}

type answeredView struct {
	Case     string `json:"case"`
	Agent    uint16 `json:"agent"`
	Decision string `json:"decision"`
	File     string `json:"file"`
	Again    bool   `json:"again"`
	Sent     bool   `json:"sent"` // to the server
}

func reportAnswer(w io.Writer, x *kra.Examination, a *kra.Answered, sent, asJSON bool) error {
	v := answeredView{x.Case.ID.String(), a.Answer.Approval.Agent, a.Answer.Approval.Decision.String(), a.File, a.Again, sent}
	if asJSON {
		return printJSON(w, v)
	}
	again := ""
	if v.Again {
		again = " (as before)"
	}
	next := "Bring the folder back to whoever gave it to you."
	if sent {
		next = "It was sent."
	}
	_, err := fmt.Fprintf(w, "Your answer is in %s%s: %s. %s\n", v.File, again, v.Decision, next)
	return err
}

func (t *tool) denyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "deny CASE",
		Short:   "Say, signed, that you do not open the keys of a case",
		Example: `  sealpost-kra deny /media/stick/case --comment "Nobody at this number knows of it"`,
		Args:    cobra.ExactArgs(1),
	}
	comment := c.Flags().String("comment", "", "why; the others read it")
	asJSON := c.Flags().Bool("json", false, "print JSON")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		o, p, x, err := t.examined(cmd, args[0])
		if err != nil {
			return err
		}
		describeCase(x).print(cmd.ErrOrStderr())
		if err := t.unlock(cmd, o); err != nil {
			return err
		}
		a, err := o.Deny(cmd.Context(), x, *comment)
		if err != nil {
			return err
		}
		return p.answer(cmd, x, a, *asJSON)
	}
	return c
}
