package client

// ProblemFault is what a refusal is read with, for the fuzzer.
var ProblemFault = problemFault

// MaxAnswer and MaxProblem are the limits that tests go past.
const (
	MaxAnswer  = maxAnswer
	MaxProblem = maxProblem
)
