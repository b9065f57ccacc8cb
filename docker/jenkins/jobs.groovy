// The folders with their credentials, who may do what in them, and their jobs, all of which run the Jenkinsfile. Written for
// the plugin job-dsl, with the folders of cloudbees-folder and the permissions of matrix-auth.
//
//   images/build          checks each change, builds images and pushes them
//   development/deploy    deploys them there, or rolls back
//   production/deploy     the same in production, after an approval
//
// A job sees the credentials of its own folder, and those of the system: `git`, which only reads the repository.
import com.cloudbees.plugins.credentials.SecretBytes

/** Where Jenkins gets the Jenkinsfile. */
def jenkinsfile = {
  cpsScm {
    scm {
      git {
        remote {
          url(GIT_URL)
          credentials('git')
        }
        branch('main')
      }
    }
    scriptPath('Jenkinsfile')
  }
}

/** The same as in the Jenkinsfile: Jenkins learns those only in a first run, which would have none of their values. */
def ofTheJenkinsfile = {
  choiceParam('ACTION', ['', 'build', 'deploy', 'rollback'], 'Empty: the name of the job')
  choiceParam('ENVIRONMENT', ['', 'development', 'production'], 'Where to deploy or roll back. Empty: the folder of the job')
  stringParam {
    name('TAG')
    defaultValue('')
    description('Tag of the images. Empty: the commit (build only)')
    trim(true)
  }
}

/** The value of a variable that casc.yaml provides. */
def variable = { String name -> binding.getVariable(name) }

/**
 * A folder in which one group may start and stop jobs; everybody who is signed in may look at them (casc.yaml). Its credentials
 * are accounts, from the variables NAME_USER and NAME_PASSWORD, and files, from a variable in Base64: each has an id, a purpose
 * and that NAME.
 */
def folderOf = { String path, String about, String operators, Map<String, List<List<String>>> secrets ->
  folder(path) {
    description(about)
    properties {
      authorizationMatrix {
        inheritanceStrategy {
          inheriting()
        }
        entries {
          group {
            name(operators)
            permissions(['Job/Build', 'Job/Cancel'])
          }
        }
      }
      folderCredentialsProperty {
        domainCredentials {
          domainCredentials {
            domain {
              name('')
              description('')
            }
            credentials {
              secrets.accounts.each { credential, purpose, source ->
                def (user, secret) = [variable(source + '_USER'), variable(source + '_PASSWORD')]
                usernamePassword {
                  scope('GLOBAL') // in this folder
                  id(credential)
                  description(purpose)
                  username(user)
                  password(secret)
                }
              }
              secrets.files.each { credential, purpose, source ->
                def content = SecretBytes.fromString(variable(source))
                file {
                  scope('GLOBAL')
                  id(credential)
                  description(purpose)
                  file(null) // nothing is uploaded
                  fileName(credential)
                  secretBytes(content)
                }
              }
            }
          }
        }
      }
    }
  }
}

folderOf('images', 'The images of the system.', BUILDERS, [
  accounts: [['registry', 'pushes images and charts', 'REGISTRY']],
  files: [['signing-key', 'signs images and charts', 'SIGNING_KEY']],
])
pipelineJob('images/build') {
  description('Checks each change of the main branch, builds its images and pushes them.')
  parameters ofTheJenkinsfile
  properties {
    pipelineTriggers {
      triggers {
        pollSCM { scmpoll_spec('H/5 * * * *') }
      }
    }
  }
  definition jenkinsfile
}

// Started by hand only, and apart from `build`, so that a rollback does not wait for a build. Deploying and rolling back are one
// job, because the runs of one job wait for each other.
[development: DEVELOPMENT_DEPLOYERS, production: PRODUCTION_DEPLOYERS].each { environment, deployers ->
  def suffix = environment.toUpperCase()
  folderOf(environment, "What runs in ${environment}.", deployers, [
    accounts: [
      ['registry', 'pulls charts', "REGISTRY_${suffix}"],
      ['smoke', "an account of ${environment} that may place orders", "SMOKE_${suffix}"],
    ],
    files: [
      ['kubeconfig', "may change the namespace of ${environment}", "KUBECONFIG_${suffix}"],
      ['verification-key', 'verifies the signature of a chart', "VERIFICATION_KEY_${suffix}"],
    ],
  ])
  pipelineJob("${environment}/deploy") {
    description("Deploys to ${environment} what images/build has pushed (TAG), or rolls back (ACTION).")
    parameters ofTheJenkinsfile
    definition jenkinsfile
  }
}
