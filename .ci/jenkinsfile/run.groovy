#!/usr/bin/env groovy
// Runs a declarative Jenkinsfile without Jenkins: groovy run.groovy FILE [PARAMETER=… | credential:ID=… | input=yes]…
// `sh` steps really run, in this folder and with this environment. It is as strict as Jenkins: parameters must be declared,
// credentials given, steps need an agent, reports must exist, and inputs need an answer. It supports what lint.groovy accepts;
// what options and agent labels do is not simulated. What happens in which order is as in ModelInterpreter.groovy of the plugin
// pipeline-model-definition; order.jenkinsfile shows it.

/** Records the calls of a block, so that they can be executed in the order of Jenkins, not that of the file. */
class Block {
  final List<List> calls = []

  static List<List> of(Closure body) {
    def block = new Block()
    Pipeline.within(body, block)
    block.calls
  }

  static Map<String, List> sections(Closure body) { of(body).collectEntries { [it[0], it[1]] } }

  def methodMissing(String name, arguments) { calls << [name, arguments as List]; null }

  /** `any` and `none`, as in `agent any`. */
  def propertyMissing(String name) { name }
}

/** Applies the assignments of an `environment` block, one after the other. */
class EnvironmentBlock {
  private final Pipeline pipeline
  EnvironmentBlock(Pipeline pipeline) { this.pipeline = pipeline }
  void setProperty(String name, value) { pipeline.env = pipeline.env + [(name): value as String] }
  def getProperty(String name) { name == 'params' ? pipeline.params : name == 'env' ? pipeline.env : pipeline.env[name] }
}

class Aborted extends RuntimeException {
  Aborted(String why) { super(why) }
}

class Pipeline {
  private final Map<String, String> given, credentials
  private final boolean approves
  Map<String, String> params = [:], env = [:] + System.getenv()
  private boolean hasAgent = false
  private List<String> secrets = []
  String result = 'SUCCESS'

  Pipeline(List<String> arguments) {
    def pairs = arguments.collect { it.split('=', 2) as List }
    credentials = pairs.findAll { it[0].startsWith('credential:') }.collectEntries { [it[0] - 'credential:', it[1]] }
    approves = ['input', 'yes'] in pairs
    given = pairs.findAll { it[0] != 'input' && !it[0].startsWith('credential:') }.collectEntries { it }
  }

  static within(Closure body, delegate) {
    body = body.clone() as Closure
    body.delegate = delegate
    body.resolveStrategy = Closure.DELEGATE_ONLY
    body.call()
  }

  void pipeline(Closure body) {
    def sections = Block.sections(body)
    try {
      readParameters(sections.parameters[0])
      onAgent(sections.agent) {
        withinEnvironment(sections.environment) {
          options(sections.options)
          withPost(sections.post) { stages(sections.stages[0]) }
        }
      }
    } catch (Aborted e) {
      result = 'ABORTED'
      log e.message
    } catch (RuntimeException e) {
      result = 'FAILURE'
      log e.message
    }
    log "result: $result"
  }

  private void readParameters(Closure body) {
    def declared = Block.of(body).collectEntries { kind, arguments -> [arguments[0].name, arguments[0]] }
    def unknown = given.keySet() - declared.keySet()
    if (unknown) throw new RuntimeException("no such parameter: ${unknown.join(', ')}")
    declared.each { name, parameter ->
      def value = given.containsKey(name) ? given[name] : parameter.choices ? parameter.choices[0] : parameter.defaultValue
      if (parameter.choices && !(value in parameter.choices)) throw new RuntimeException("illegal choice for $name: $value")
      params[name] = parameter.trim ? value.trim() : value
    }
    env += params
  }

  private void stages(Closure body) {
    Block.of(body).each { name, arguments -> stage(arguments[0], Block.sections(arguments[1])) }
  }

  /**
   * `when` is evaluated on the agent, unless it says that it comes earlier. It never sees the environment of its own stage.
   */
  private void stage(String name, Map sections) {
    log "stage $name"
    def early = ['beforeOptions', 'beforeInput', 'beforeAgent'].find { it in flags(sections.when) } ?: 'onAgent'
    def passes = { String here -> here != early || conditions(sections.when) }
    boolean runs = false
    if (passes('beforeOptions')) {
      options(sections.options)
      if (passes('beforeInput')) {
        ask(sections.input)
        if (passes('beforeAgent')) {
          onAgent(sections.agent) {
            if (passes('onAgent')) {
              runs = true
              withinEnvironment(sections.environment) { execute(sections) }
            }
          }
        }
      }
    }
    if (!runs) log "stage $name: skipped"
  }

  private void execute(Map sections) {
    withPost(sections.post) {
      if (sections.stages) stages(sections.stages[0]) else within(sections.steps[0], this)
    }
  }

  /** Executes the body and then what is due of `post`: all of it, even if a part fails. Throws what was thrown first. */
  private void withPost(List post, Closure body) {
    RuntimeException first = null
    try {
      body()
    } catch (RuntimeException e) {
      first = e
    }
    def outcome = first == null ? 'success' : first instanceof Aborted ? 'aborted' : 'failure'
    def due = ['always', outcome] + (outcome == 'success' ? [] : ['unsuccessful']) + ['cleanup']
    def blocks = post ? Block.sections(post[0]) : [:]
    due.findAll { it in blocks }.each {
      log "post $it"
      try {
        within(blocks[it][0], this)
      } catch (RuntimeException e) {
        first = first ?: e
      }
    }
    if (first != null) throw first
  }

  private static final FLAGS = ['beforeAgent', 'beforeInput', 'beforeOptions']

  private static List<String> flags(List when) {
    when ? Block.of(when[0]).findAll { it[0] in FLAGS && it[1] == [true] }*.getAt(0) : []
  }

  private boolean conditions(List when) {
    !when || Block.of(when[0]).findAll { !(it[0] in FLAGS) }.every { name, arguments ->
      switch (name) {
        case 'environment': return env[arguments[0].name] == arguments[0].value
        case 'not': return !conditions(arguments)
        default: throw new RuntimeException("the condition `$name` is not supported")
      }
    }
  }

  private void options(List options) {
    if (options) (Block.of(options[0])*.getAt(0) - 'logRotator').each { log "option $it" } // an argument of buildDiscarder
  }

  private void ask(List input) {
    if (!input) return
    def question = [:]
    within(input[0], new Expando(params: params, env: env, message: { question.message = it }, ok: { question.ok = it },
      submitter: { question.submitter = it }))
    log "input: $question.message (${question.ok ?: 'Proceed'}, by ${question.submitter ?: 'anybody'})"
    if (!approves) throw new Aborted('not approved')
  }

  private void onAgent(List agent, Closure body) {
    def before = hasAgent
    if (agent && agent[0] != 'none') {
      log 'agent'
      hasAgent = true
    }
    def commit = hasAgent && !before ? [GIT_COMMIT: 'git rev-parse HEAD'.execute().text.trim()] : [:]
    try {
      withEnvironment(commit, body)
    } finally {
      hasAgent = before
    }
  }

  private void withinEnvironment(List environment, Closure body) {
    withEnvironment([:]) {
      if (environment) {
        log 'environment'
        within(environment[0], new EnvironmentBlock(this))
      }
      body()
    }
  }

  private void withEnvironment(Map more, Closure body) {
    def before = env
    env = env + more
    try {
      body()
    } finally {
      env = before
    }
  }

  // The steps.

  void echo(String text) { log "echo: $text" }

  void sh(String script) {
    needAgent('sh')
    log "sh: $script"
    def builder = new ProcessBuilder('sh', '-e', '-c', script).redirectErrorStream(true)
    builder.environment().clear()
    builder.environment().putAll(env.findAll { it.value != null }.collectEntries { [it.key, it.value as String] })
    def process = builder.start()
    process.outputStream.close()
    process.inputStream.eachLine { println masked(it) }
    def status = process.waitFor()
    if (status) throw new RuntimeException("exit code $status: $script")
  }

  void junit(String files) {
    needAgent('junit')
    def reports = files.split(', *').collect { new File(it) }.findAll { it.exists() }
    if (!reports) throw new RuntimeException("there is no report: $files")
    def cases = reports.collectMany { new XmlSlurper().parse(it).'**'.findAll { it.name() == 'testcase' } }
    def failed = cases.count { it.failure.size() + it.error.size() > 0 }
    log "junit: ${reports.size()} reports, ${cases.size()} tests, $failed failed"
  }

  void withCredentials(List<Map> bindings, Closure body) {
    def before = secrets
    secrets = secrets + bindings.collectMany { it.secrets }
    try {
      withEnvironment(bindings.collectEntries { it.variables }) { within(body, this) }
    } finally {
      secrets = before
    }
  }

  Map file(Map binding) {
    [variables: [(binding.variable): credential(binding.credentialsId)], secrets: []]
  }

  Map usernamePassword(Map binding) {
    def (user, password) = credential(binding.credentialsId).split(':', 2) as List
    [variables: [(binding.usernameVariable): user, (binding.passwordVariable): password], secrets: [password]]
  }

  private String credential(String id) {
    if (!credentials[id]) throw new RuntimeException("no credential has the id $id")
    credentials[id]
  }

  private String masked(String line) { secrets.inject(line) { text, secret -> text.replace(secret, '****') } }

  private void needAgent(String step) {
    if (!hasAgent) throw new RuntimeException("`$step` needs an agent")
  }

  private static void log(String what) { println "[pipeline] $what" }
}

def pipeline = new Pipeline(args.drop(1) as List)
def script = new GroovyShell(this.class.classLoader).parse(new File(args[0]))
script.metaClass.pipeline = { Closure body -> pipeline.pipeline(body) }
script.run()
System.exit(pipeline.result == 'SUCCESS' ? 0 : 1)
