// The entry point of every test program that uses the harness.
#include "support/test.h"

int main(int argument_count, char** arguments) { return test::run(argument_count, arguments); }
