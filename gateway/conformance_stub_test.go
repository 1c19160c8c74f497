package gateway

var slowCases []transportCase
var limitCases []transportCase
var beatCases []transportCase
var leakCases []transportCase
