#!/usr/bin/env groovy
// Checks the structure of a declarative Jenkinsfile, as Jenkins does when it loads it: groovy lint.groovy FILE
// It knows the sections, steps and conditions that ours uses, and refuses all others; add new ones here.
// One rule is our own: a `sh` step is one line in single quotes, so that parameters cannot inject commands.
import org.codehaus.groovy.ast.expr.*
import org.codehaus.groovy.ast.stmt.ExpressionStatement
import org.codehaus.groovy.control.CompilationFailedException
import org.codehaus.groovy.control.SourceUnit

class Lint {
  static final Map<String, List<String>> KNOWN = [
    pipeline : ['agent', 'environment', 'options', 'parameters', 'post', 'stages'],
    stage    : ['agent', 'environment', 'input', 'options', 'post', 'stages', 'steps', 'when'],
    agent    : ['label'],
    options  : ['buildDiscarder', 'disableConcurrentBuilds', 'timeout', 'timestamps'],
    parameter: ['choice', 'string'],
    input    : ['message', 'ok', 'submitter'],
    condition: ['beforeAgent', 'beforeInput', 'beforeOptions', 'environment', 'not'],
    post     : ['aborted', 'always', 'cleanup', 'failure', 'success', 'unsuccessful'],
    step     : ['echo', 'junit', 'sh', 'withCredentials'],
  ]

  final List<String> mistakes = []
  final Set<String> stageNames = []

  void file(String text) {
    def source = SourceUnit.create('Jenkinsfile', text)
    try {
      source.parse()
      source.completePhase()
      source.convert()
    } catch (CompilationFailedException e) {
      mistakes << e.message
      return
    }
    def statements = source.AST.statementBlock.statements
    if (statements.size() != 1 || name(callOf(statements[0])) != 'pipeline') {
      mistakes << 'the file is not one `pipeline { … }`'
      return
    }
    def sections = block('pipeline', callOf(statements[0]))
    ['agent', 'stages'].findAll { !(it in sections) }.each { mistakes << "pipeline: `$it` is missing".toString() }
    sections.each { section, call -> check(section, call) }
  }

  private void check(String section, MethodCallExpression call) {
    switch (section) {
      case 'agent':
        if (closure(call)) block('agent', call)
        else if (!(arguments(call)*.text in [['any'], ['none']])) mistake(call, 'agent is `any`, `none` or a block')
        break
      case 'environment': environment(call); break
      case 'input': block('input', call); break
      case 'options': block('options', call); break
      case 'parameters': calls(call).each { known('parameter', it) }; break
      case 'post': block('post', call).values().each { steps(it) }; break
      case 'stages': stages(call); break
      case 'steps': steps(call); break
      case 'when': conditions(call); break
    }
  }

  private void stages(MethodCallExpression parent) {
    calls(parent).each { stage ->
      def title = arguments(stage).find { it instanceof ConstantExpression }?.value
      if (name(stage) != 'stage' || !title) mistake(stage, 'only `stage(\'name\') { … }` is allowed here')
      else if (!stageNames.add(title)) mistake(stage, "there are two stages `$title`")
      def sections = block('stage', stage)
      if (sections.keySet().count { it in ['stages', 'steps'] } != 1) {
        mistake(stage, "`$title` needs either `steps` or `stages`")
      }
      sections.each { section, call -> check(section, call) }
    }
  }

  private void steps(MethodCallExpression parent) {
    calls(parent).each { step ->
      if (!known('step', step)) return
      if (name(step) == 'withCredentials') steps(step)
      if (name(step) == 'sh') {
        def script = arguments(step)
        def fixed = script.size() == 1 && script[0] instanceof ConstantExpression
        if (!fixed || script[0].value.contains('\n')) {
          mistake(step, '`sh` takes one line in single quotes; put the rest into a script')
        }
      }
    }
  }

  private void conditions(MethodCallExpression parent) {
    calls(parent).each { condition ->
      if (known('condition', condition) && name(condition) == 'not') conditions(condition)
    }
  }

  private void environment(MethodCallExpression parent) {
    statements(parent).each { statement ->
      def set = statement instanceof ExpressionStatement ? statement.expression : null
      if (!(set instanceof BinaryExpression && set.operation.text == '=')) mistake(statement, 'only `NAME = value` is allowed here')
    }
  }

  /** The calls in a block by name; each must be known and occur once. */
  private Map<String, MethodCallExpression> block(String kind, MethodCallExpression parent) {
    def found = [:]
    calls(parent).findAll { known(kind, it) }.each {
      if (found.put(name(it), it)) mistake(it, "there are two `${name(it)}`")
    }
    found
  }

  private boolean known(String kind, MethodCallExpression call) {
    def known = name(call) in KNOWN[kind]
    if (!known) mistake(call, "`${name(call)}` is not known as $kind; known are ${KNOWN[kind].join(', ')}")
    known
  }

  private List<MethodCallExpression> calls(MethodCallExpression parent) {
    if (!statements(parent)) mistake(parent, "the block `${name(parent)}` is missing or empty")
    statements(parent).findResults { statement ->
      def call = callOf(statement)
      if (!call) mistake(statement, 'this is not declarative')
      call
    }
  }

  private static List statements(MethodCallExpression parent) {
    closure(parent)?.code?.statements ?: []
  }

  private static MethodCallExpression callOf(statement) {
    def expression = statement instanceof ExpressionStatement ? statement.expression : null
    expression instanceof MethodCallExpression && expression.implicitThis ? expression : null
  }

  private static String name(MethodCallExpression call) { call?.methodAsString }

  private static List<Expression> arguments(MethodCallExpression call) {
    call.arguments instanceof TupleExpression ? call.arguments.expressions : []
  }

  private static ClosureExpression closure(MethodCallExpression call) {
    arguments(call).find { it instanceof ClosureExpression }
  }

  private void mistake(node, String what) { mistakes << "line $node.lineNumber: $what".toString() }
}

def lint = new Lint()
lint.file(new File(args[0]).text)
lint.mistakes.each { System.err.println "${args[0]}: $it" }
System.exit(lint.mistakes ? 1 : 0)
